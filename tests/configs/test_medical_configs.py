"""VM-UNet's and MHS-UNet's configs: published counts and recipes; a step learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mamba_dense.registry import MODELS, TRANSFORMS

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mmseg.structures import SegDataSample

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = sorted([*(ROOT / 'vm_unet').glob('*.py'), *(ROOT / 'mhs_vm').glob('*.py')])
ISIC = [path for path in CONFIGS if '_isic' in path.stem]
SMALL = [path for path in CONFIGS if '-nano_' in path.stem]


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('path', ISIC, ids=lambda path: path.stem)
def test_isic(path):
    """Counts of the released code, and its recipe."""
    cfg = load(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    expected = 27_427_561 if path.parent.name == 'vm_unet' else 17_257_129
    assert sum(p.numel() for p in model.parameters()) == expected
    optimizer, schedule = cfg.optim_wrapper.optimizer, cfg.param_scheduler[0]
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-3, 1e-2)
    assert (schedule.T_max, schedule.eta_min, cfg.train_cfg.max_epochs) == (50, 1e-5, 300)
    assert cfg.train_dataloader.batch_size == 32
    assert cfg.model.decode_head.loss_decode.type == 'mamba_dense.BceDiceLoss'
    assert cfg.train_dataloader.dataset.data_root.endswith(path.stem.split('_')[-1][:6])
    if path.parent.name == 'mhs_vm':
        threshold = 0.5 if 'isic18' in path.stem else 0.0
        heads = [m.threshold for m in model.modules() if type(m).__name__ == 'ScanHead']
        assert set(heads) == {threshold}


@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_small_config_trains_a_step(path):
    cfg = load(path)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(2, (1, 64, 64))))
    sample.set_metainfo({'ori_shape': (64, 64), 'img_shape': (64, 64)})
    data = {'inputs': [torch.rand(3, 64, 64) * 255] * 2, 'data_samples': [sample] * 2}
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    losses['decode.loss_pixel_dice'].backward()
    assert torch.isfinite(losses['decode.loss_pixel_dice'])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        found = model.eval().test_step(
            {'inputs': [torch.rand(3, 50, 70)], 'data_samples': [sample]}
        )
    assert set(found[0].pred_sem_seg.data.unique().tolist()) <= {0, 1}


def test_intensities_are_stretched_over_all_channels():
    stretch = TRANSFORMS.build(dict(type='mamba_dense.MinMaxIntensity'))
    image = np.array([[[10, 20, 30]], [[40, 50, 60]]], np.uint8)
    found = stretch({'img': image})['img']
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), [0, 51, 102, 153, 204, 255], rtol=1e-6)
    assert not stretch({'img': np.full((2, 2, 3), 7, np.uint8)})['img'].any()
