"""Configs of volumes: networks of one size beside each other, a step learns, bases are sound."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.cases import CaseDataset
from mamba_dense.registry import MODELS

from ..medical.volumes import raw_folder

ROOT = Path(__file__).resolve().parents[2] / 'configs'
BRAIN = sorted(ROOT.glob('*/*_brain*-*x*x*.py'))
CLEAN = [path for path in BRAIN if 'disturbed' not in path.stem]
NNUNET = sorted((ROOT / '_base_' / 'datasets').glob('cases*.py'))


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope('mamba_dense')
    return cfg


def test_the_networks_have_one_size():
    counts = {}
    for path in CLEAN:
        model = MODELS.build(load(path).model)
        counts[path.parent.name] = sum(p.numel() for p in model.parameters())
    assert sorted(counts) == ['lightm_unet', 'monai_unet', 'xlstm_unet']
    assert max(counts.values()) < 1.05 * min(counts.values()), counts


@pytest.mark.parametrize('path', BRAIN, ids=lambda path: path.stem)
def test_one_config_but_for_the_network(path):
    """Data, steps and schedule are those of MONAI's U-Net beside it."""
    cfg = load(path)
    kind = 'brain-disturbed' if 'disturbed' in path.stem else 'brain'
    size = path.stem.rsplit('-', 1)[1]
    other = load(ROOT / 'monai_unet' / f'monai-unet-nano_{kind}-{size}.py')
    for key in ('train_dataloader', 'val_dataloader', 'optim_wrapper', 'param_scheduler'):
        assert cfg[key] == other[key], key
    assert cfg.train_cfg == other.train_cfg and cfg.randomness == other.randomness
    assert cfg.train_dataloader.dataset.data_root == f'data/{kind.replace("-", "_")}'
    assert cfg.train_dataloader.dataset.patch_size == cfg.model.patch_size


@pytest.mark.parametrize('path', CLEAN, ids=lambda path: path.stem)
def test_a_step_trains(path):
    model = MODELS.build(load(path).model)
    model.init_weights()
    data = {'image': torch.randn(1, 1, 16, 16, 16), 'label': torch.randint(3, (1, 1, 16, 16, 16))}
    losses = model(**data, mode='loss')
    losses['loss_nnunet'].backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert len(lacking) <= 2, lacking  # the classifier of the coarsest map, whose weight is 0
    found = model([torch.randn(1, 9, 17, 33)], case=['a'], mode='predict')
    assert found[0]['scores'].shape == (3, 9, 17, 33)


@pytest.mark.parametrize('path', NNUNET, ids=lambda path: path.stem)
def test_pipelines_of_the_bases(path, tmp_path):
    """Every transform runs (its chance is 1 here) and leaves size, dtype and classes alone."""
    root = raw_folder(tmp_path, shape=(12, 20, 20))
    options = dict(load(path).train_dataloader.dataset)
    options.pop('type')
    for step in options['pipeline']:
        step['prob'] = 1.0
    planes = 'planes' in path.stem
    options.update(data_root=root, samples=4, patch_size=(1, 16, 12) if planes else (8, 16, 12))
    data = CaseDataset(**options)
    for index in range(4):
        patch = data[index]
        assert patch['image'].shape == patch['label'].shape == (1, *data.patch_size)
        assert patch['image'].dtype == torch.float32 and torch.isfinite(patch['image']).all()
        assert set(np.unique(patch['label'])) <= {0, 1, 2}
