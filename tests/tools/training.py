"""What the training tests share: a small config, runs in this process and in others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config

from mamba_dense.engine.train import run, settle
from mamba_dense.segmentation.guard import guard

ROOT = Path(__file__).resolve().parents[2]

# 'conv' is a small convolutional network whose heads have dropout and norms over the batch: what a
# resumed run and a run of two processes can get wrong, in a second or two; 'nano' has drop path,
# and GroupNorm, which does not see how a batch is spread
NETWORKS = {
    'conv': """
    backbone=dict(_delete_=True, type='ResNet', depth=18, base_channels=4, norm_cfg=norm),
    decode_head=dict(in_channels=[4, 8, 16, 32], channels=8,
                     norm_cfg=dict(_delete_=True, type='SyncBN')),
    auxiliary_head=dict(in_channels=16, channels=4, norm_cfg=dict(_delete_=True, type='SyncBN')),
""",
    'nano': '',
}
_CONFIG = """
_base_ = ['{root}/configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py']
norm = dict(type='SyncBN')
model = dict(
    data_preprocessor=dict(size=(64, 64)),
{network})
crop = dict(type='RandomCrop', crop_size=(64, 64))
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), crop,
            dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs')]
train_dataloader = dict(batch_size=4, dataset=dict(data_root='{data}', pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root='{data}'))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=12, val_interval=4)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=4, max_keep_ckpts=2, save_best='Dice.nucleus'))
env_cfg = dict(cudnn_benchmark=False)
"""


def write_config(folder: Path, data: Path, extra: str = '', network: str = 'conv') -> Path:
    """The small config over prepared `data`, as a file; `extra` is appended."""
    path = folder / 'small.py'
    values = {'root': ROOT.as_posix(), 'data': data.as_posix(), 'network': NETWORKS[network]}
    path.write_text(_CONFIG.format(**values) + extra)
    return path


def train_here(
    config: Path, work_dir: Path, resume: str | None = None, amp: bool = False, **options
) -> list[float]:
    """Train in this process; the loss of every iteration."""
    cfg = Config.fromfile(config)
    cfg.work_dir = str(work_dir)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    # mmengine keeps loggers, hubs and visualizers by name for the life of the process
    name = f'{work_dir.as_posix().replace("/", "_")}_{len(list(work_dir.glob("*/vis_data")))}'
    cfg.experiment_name = cfg.visualizer.name = name
    guard(cfg)
    run(cfg, settle(cfg, resume=resume, amp=amp))
    return losses(work_dir)


def outside(**environment) -> dict[str, str]:
    """Environment variables of another process that finds the packages."""
    found = (environment.pop('PYTHONPATH', ''), os.environ.get('PYTHONPATH', ''))
    paths = os.pathsep.join([str(ROOT), str(ROOT / 'kernels'), *filter(None, found)])
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': paths, **environment}


def train_there(arguments: list, processes: int = 1, **environment) -> subprocess.CompletedProcess:
    """Run tools/train.py in another process, or in several by torchrun."""
    env = outside(**environment)
    command = [sys.executable]
    if processes > 1:
        command += ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
        arguments = [*arguments, '--launcher', 'pytorch']
    command += [str(ROOT / 'tools' / 'train.py'), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)


def losses(work_dir: Path) -> list[float]:
    """The loss of each iteration over all runs of a work folder, the last one of repeated ones."""
    found = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                found[entry['step']] = entry['loss']
    return [found[step] for step in sorted(found)]


def scores(work_dir: Path) -> list[float]:
    """The nucleus Dice of each validation over all runs of a work folder."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line['Dice.nucleus'] for line in lines if 'Dice.nucleus' in line]


def weights(work_dir: Path, name: str = 'iter_12.pth') -> dict[str, torch.Tensor]:
    """The weights in a checkpoint."""
    return torch.load(work_dir / name, map_location='cpu', weights_only=False)['state_dict']
