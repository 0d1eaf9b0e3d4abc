"""LightM-UNet's configs: the released networks and recipe; the small one trains a step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, PolyLR
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import nn

from mamba_dense.registry import MODELS, TRANSFORMS

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mmseg.structures import SegDataSample

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lightm_unet'
FULL = sorted(CONFIGS.glob('lightm-unet_*.py'))
COUNTS = {'chest-xray': 5_011_765, 'lits': 5_015_766}


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_released_networks_and_recipe(path):
    cfg = load(path)
    data = path.stem.split('_')[-1].rpartition('-')[0]
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[data]
    wrapper = cfg.optim_wrapper
    optimizer = {key: wrapper.optimizer[key] for key in ('type', 'lr', 'weight_decay', 'eps')}
    assert optimizer == {'type': 'Adam', 'lr': 1e-4, 'weight_decay': 1e-5, 'eps': 1e-5}
    assert wrapper.clip_grad == {'max_norm': 12}
    assert wrapper.type == 'OptimWrapper'  # no mixed precision
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.log_processor.by_epoch


def test_an_epoch_has_250_batches():
    images, volumes = (load(path).train_dataloader for path in FULL)
    assert images.num_batch_per_epoch == 250
    assert images.dataset.times * 493 >= 250 * images.batch_size
    assert volumes.dataset.samples == 250 * volumes.batch_size


def test_rates_fall_by_epoch_as_published():
    cfg = load(FULL[0])
    optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=1e-4)
    (options,) = cfg.param_scheduler
    schedule = PolyLR(OptimWrapper(optimizer), **{k: v for k, v in options.items() if k != 'type'})
    for epoch in range(cfg.train_cfg.max_epochs):
        expected = 1e-4 * (1 - epoch / 100) ** 0.9
        assert optimizer.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        schedule.step()


def test_augmentation_keeps_what_a_label_is():
    """Every transform at once, on an image that is not square; equal seeds give equal images."""
    cfg = load(next(path for path in FULL if 'chest' in path.stem))
    step = TRANSFORMS.build(cfg.augment[0])
    for transform in step.pipeline.transforms:
        transform.prob = 1.0
    random = np.random.RandomState(0)
    image = random.standard_normal((32, 48, 3)).astype(np.float32)
    label = (random.random_sample((32, 48)) > 0.5).astype(np.uint8)
    found = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        results = step({'img': image, 'gt_seg_map': label})
        assert results['img'].shape == image.shape and results['img'].dtype == np.float32
        assert np.isfinite(results['img']).all()
        assert results['gt_seg_map'].dtype == np.uint8 and set(results['gt_seg_map'].flat) <= {0, 1}
        found.append(results)
    assert np.array_equal(found[0]['img'], found[1]['img'])
    assert np.array_equal(found[0]['gt_seg_map'], found[1]['gt_seg_map'])
    assert not np.array_equal(found[0]['img'], found[2]['img'])


@pytest.mark.parametrize(
    ('base', 'shape'),
    [('cases_nnunet', (12, 16, 20)), ('cases_nnunet_planes', (1, 16, 20))],
    ids=['volumes', 'planes'],
)
def test_augmentation_of_volumes(base, shape):
    """Each transform by itself, whenever it is drawn."""
    cfg = Config.fromfile(CONFIGS.parent / '_base_' / 'datasets' / f'{base}.py')
    random = np.random.RandomState(0)
    image = random.standard_normal((2, *shape)).astype(np.float32)
    label = (random.random_sample((1, *shape)) > 0.5).astype(np.uint8)
    for options in cfg.train_dataloader.dataset.pipeline:
        step = TRANSFORMS.build({**options, 'prob': 1.0})
        found = step({'image': image, 'label': label})
        assert tuple(found['image'].shape) == image.shape, options.type
        assert np.isfinite(np.asarray(found['image'])).all()
        assert set(np.asarray(found['label']).flat) <= {0, 1}


def test_labels_move_with_the_image():
    flip = dict(type='monai.transforms.Flipd', keys=['image', 'label'], spatial_axis=1)
    step = TRANSFORMS.build(dict(type='mamba_dense.MonaiTransforms', transforms=[flip]))
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    results = step({'img': image, 'gt_seg_map': image.astype(np.int64)})
    assert np.array_equal(results['img'], image[:, ::-1])
    assert np.array_equal(results['gt_seg_map'], image[:, ::-1])
    assert results['gt_seg_map'].dtype == np.int64


def test_small_config_trains_a_step():
    cfg = load(CONFIGS / 'lightm-unet-nano_nuclei-128x128.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(2, (1, 32, 48))))
    sample.set_metainfo({'ori_shape': (32, 48), 'img_shape': (32, 48)})
    data = {'inputs': [torch.rand(3, 32, 48) * 255] * 2, 'data_samples': [sample] * 2}
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    losses['decode.loss_nnunet'].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        found = model.eval().test_step(
            {'inputs': [torch.rand(3, 32, 48)], 'data_samples': [sample]}
        )
    assert set(found[0].pred_sem_seg.data.unique().tolist()) <= {0, 1}
