"""Every config loads and builds, its heads fit its backbone, and the small ones train a step."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mamba_dense.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path.relative_to(ROOT / 'configs').as_posix()
    for path in (ROOT / 'configs').glob('*/*.py')
    if path.parent.name != '_base_'
)
SEGMENTORS = [name for name in CONFIGS if '_upernet_' in name]
SMALL = [name for name in SEGMENTORS if '-nano_' in name]
ADE = [name for name in SEGMENTORS if name.startswith('vmamba/') and '_ade20k-' in name]


def load(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg


def build(name):
    """The network on the meta device: shapes without memory."""
    with torch.device('meta'):
        return MODELS.build(load(name).model)


def batch(cfg, size):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    classes = cfg.model.decode_head.num_classes
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(classes, (1, *size))))
    sample.set_metainfo({'ori_shape': size, 'img_shape': size})
    return {'inputs': [torch.rand(3, *size)] * 2, 'data_samples': [sample] * 2}


@pytest.mark.parametrize('name', SEGMENTORS)
def test_heads_fit_the_backbone(name):
    model = build(name)
    channels = model.backbone.out_channels
    heads = [model.decode_head, model.auxiliary_head]
    for head in heads:
        indices = head.in_index
        if isinstance(indices, int):
            assert head.in_channels == channels[indices]
        else:
            assert tuple(head.in_channels) == tuple(channels[i] for i in indices)
    classes = {head.num_classes for head in heads}
    dataset = load(name).train_dataloader.dataset
    named = dataset.get('metainfo', {}).get('classes')
    assert classes == {len(named) if named else 150}


@pytest.mark.parametrize('name', ADE)
def test_ade20k_recipe(name):
    """Section by section what the authors' configs say."""
    cfg = load(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 6e-5, 0.01)
    assert optimizer.betas == (0.9, 0.999)
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end) == (1e-6, 1500)
    assert (poly.power, poly.eta_min, poly.begin, poly.end) == (1.0, 0.0, 1500, 160000)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (160000, 16000)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.model.decode_head.norm_cfg.type == 'SyncBN'
    drop = {'vanilla': 0.3, '-t-': 0.2, '-s-': 0.3, '-b-s2l15': 0.6, '-b-s1l20': 0.5}
    expected = next(rate for part, rate in drop.items() if part in name)
    assert cfg.model.backbone.drop_path_rate == expected


def test_every_published_variant_has_its_config():
    from mamba_dense.backbones import VMamba

    archs = {load(name).model.backbone.arch for name in ADE}
    published = {arch for arch in VMamba.ARCHS if re.match('(vanilla_)?(tiny|small|base)', arch)}
    assert archs == published


# parameters of the whole network in millions, as the authors' table prints them
PUBLISHED = {
    'vanilla-t': 55,
    'vanilla-s': 76,
    'vanilla-b': 110,
    't-s2l5': 62,
    't-s1l8': 62,
    's-s2l15': 82,
    'b-s2l15': 122,
}


@pytest.mark.parametrize('stem', PUBLISHED)
def test_parameters_are_the_published_ones(stem):
    model = build(f'vmamba/vmamba-{stem}_upernet_8xb2-160k_ade20k-512x512.py')
    count = sum(p.numel() for p in model.parameters())
    assert round(count / 1e6) == PUBLISHED[stem]
    if stem == 'vanilla-t':  # the one that is known to the last
        assert count == 54_546_956
        assert sum(p.numel() for p in model.auxiliary_head.parameters()) == 923_798
        assert sum(p.numel() for p in model.decode_head.parameters()) == 31_497_366


@pytest.mark.parametrize('name', SMALL)
def test_small_config_trains_a_step(name):
    cfg = load(name)
    model = MODELS.build(cfg.model)
    model.init_weights()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = model.data_preprocessor(batch(cfg, (64, 64)), training=True)
    losses = model(**data, mode='loss')
    loss = sum(value for key, value in losses.items() if 'loss' in key)
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.grad is None and p.requires_grad]
    assert not lacking
    optimizer.step()
    model.eval()
    with torch.no_grad():
        found = model.predict(torch.rand(1, 3, 50, 70))
    assert found[0].pred_sem_seg.data.shape == (1, 50, 70)


@pytest.mark.full
@pytest.mark.parametrize('name', ADE)
def test_large_config_trains_a_step(name):
    cfg = load(name)
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.norm_cfg.type = 'BN'
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.size = (64, 64)
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(batch(cfg, (64, 64)), training=True)
    losses = model(**data, mode='loss')
    loss = sum(value for key, value in losses.items() if 'loss' in key)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters())


def test_readme_and_metafile_name_every_config():
    for folder in {(ROOT / 'configs' / name).parent for name in CONFIGS}:
        metafile = (folder / 'metafile.yml').read_text()
        readme = (folder / 'README.md').read_text()
        for file in folder.glob('*.py'):
            assert f'configs/{folder.name}/{file.name}' in metafile
            assert file.name in readme


def test_segmentation_needs_no_other_task():
    """With only the seg extra: mmdet and MONAI are absent, and nothing asks for them in vain."""
    code = (
        'import sys\n'
        'sys.modules["mmdet"] = sys.modules["monai"] = None\n'
        'from mmengine.config import Config\n'
        'from mmseg.apis import init_model\n'
        'from mamba_dense.segmentation.guard import CheckSample\n'
        f'cfg = Config.fromfile({str(ROOT / "configs" / SMALL[0])!r})\n'
        'assert init_model(cfg, device="cpu").backbone.out_channels\n'
        'found = [name for name in sys.modules if name.split(".")[0] in ("mmdet", "monai")]\n'
        'assert found == ["mmdet", "monai"] or found == ["monai", "mmdet"], found\n'
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / 'kernels'), os.environ.get('PYTHONPATH', '')])
    env = {**os.environ, 'PYTHONPATH': paths}
    result = subprocess.run(
        [sys.executable, '-c', code], env=env, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
