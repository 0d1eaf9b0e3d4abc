"""The small detectors train, resume and are scored: tools' own functions, a few iterations."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmdet', reason='needs the extra det')

from mamba_dense.detection.guard import guard
from mamba_dense.detection.prepare import write_sample
from mamba_dense.engine.evaluate import evaluate
from mamba_dense.engine.train import run, settle

ROOT = Path(__file__).resolve().parents[2]
NUCLEI = ROOT / 'configs/vmamba/vmamba-nano_mask-rcnn_nuclei.py'
TREES = ROOT / 'configs/vmamba/vmamba-nano_retinanet_trees.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    return {name: write_sample(name, folder / name) for name in ('nuclei_instances', 'trees')}


def config(path, root, work_dir, iterations):
    """The config over `root`, with crops of 64 and two images a step."""
    cfg = Config.fromfile(path)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = f'{root}/'
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = f'{root}/annotations/val.json'
    cfg.train_dataloader.batch_size = 2
    if path == NUCLEI:
        cfg.model.test_cfg.rpn.max_per_img = 50
        cfg.model.test_cfg.rcnn.max_per_img = 10
    else:
        cfg.model.test_cfg.score_thr = 0.0
        for key in ('val_dataloader', 'test_dataloader'):
            cfg[key].dataset.pipeline[1].scale_factor = 0.5
    for step in cfg.train_dataloader.dataset.pipeline:
        if 'crop_size' in step:
            step.crop_size = (64, 64)
    cfg.train_cfg.update(max_iters=iterations, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    cfg.work_dir = str(work_dir)
    # mmengine keeps loggers and hubs by name for the life of the process
    name = f'{work_dir.as_posix().replace("/", "_")}_{len(list(work_dir.glob("*/vis_data")))}'
    cfg.experiment_name = cfg.visualizer.name = name
    return cfg


def train(cfg, resume=None):
    guard(cfg)
    run(cfg, settle(cfg, resume=resume))
    found = {}
    for file in sorted(Path(cfg.work_dir).glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            kind = 'loss' if 'loss' in entry else 'mAP'
            names = [n for n in entry if 'loss' in n or n.startswith('coco/')]
            found[kind, entry['step']] = {name: entry[name] for name in names}
    return found


def table(work_dir):
    return next(work_dir.glob('*/*.log')).read_text()


CASES = {
    'mask-rcnn': (NUCLEI, 'nuclei_instances', ('bbox', 'segm'), 'nucleus'),
    'retinanet': (TREES, 'trees', ('bbox',), 'tree'),
}


@pytest.mark.parametrize('case', CASES)
def test_resumed_equals_unbroken(data, tmp_path, case):
    """Losses, mAP and weights of 1 + 1 iterations are those of 2, and a test scores the same."""
    path, name, kinds, label = CASES[case]
    root = data[name]
    whole = train(config(path, root, tmp_path / 'whole', 2))
    train(config(path, root, tmp_path / 'parts', 1))
    parts = train(config(path, root, tmp_path / 'parts', 2), resume='auto')
    assert {kind for kind, _ in whole} == {'loss', 'mAP'}
    assert whole['mAP', 2]['coco/bbox_mAP_50'] > 0
    assert parts == whole
    files = [tmp_path / name / 'iter_2.pth' for name in ('whole', 'parts')]
    first, second = (torch.load(file, weights_only=False)['state_dict'] for file in files)
    assert all(torch.equal(first[name], second[name]) for name in first)
    cfg = config(path, root, tmp_path / 'test', 2)
    scores = evaluate(cfg, str(files[0]), out=tmp_path / 'scores.json')
    expected = {f'coco/{kind}_mAP_50' for kind in kinds} | {f'coco/{label}_precision'}
    assert expected <= set(scores)
    assert scores == pytest.approx(whole['mAP', 2], nan_ok=True)
    assert json.loads((tmp_path / 'scores.json').read_text()) == scores
    assert f'| {label}' in table(tmp_path / 'test')


def test_nothing_found_scores_zero(data, tmp_path):
    cfg = config(TREES, data['trees'], tmp_path, 1)
    cfg.model.test_cfg.score_thr = 0.99
    found = train(cfg)
    assert found['mAP', 1]['coco/bbox_mAP_50'] == 0
    assert found['loss', 1]['loss_bbox'] > 0


def test_missing_data_is_one_message(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), str(NUCLEI)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'error: 2 problem(s)' in done.stderr
    assert 'write it by: python tools/prepare_data.py samples --name nuclei_inst' in done.stderr
    assert 'Traceback' not in done.stderr
