"""Mamba-YOLO's COCO configs: what the sheet says of the recipe; neck and head fit the backbone."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mamba_dense.registry import MODELS

pytest.importorskip('mmdet', reason='needs the extra det')

FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'mamba_yolo'
BOXES = sorted(path.name for path in FOLDER.glob('*_8xb64-300e_coco.py'))
ALL = sorted(path.name for path in FOLDER.glob('mamba-yolo-*.py'))


def load(name):
    cfg = Config.fromfile(FOLDER / name)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('name', ALL)
def test_parts_fit(name):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    arch = model.backbone.arch
    assert model.neck.in_channels == model.backbone.out_channels == arch.dims[1:]
    assert tuple(cfg.model.bbox_head.in_channels) == arch.dims[1:]
    # the neck repeats as the first stage does: both have 3 before scaling
    assert cfg.model.neck.get('scans', 1) == arch.depths[0]
    assert cfg.model.neck.get('with_lsblock', True) == arch.with_lsblock
    assert model.backbone.strides == tuple(model.bbox_head.strides)


@pytest.mark.parametrize('name', BOXES)
def test_recipe(name):
    cfg = load(name)
    optimizer = dict(cfg.optim_wrapper.optimizer)
    assert optimizer == dict(
        type='SGD', lr=0.01, momentum=0.937, nesterov=True, weight_decay=0.0005 * 512 / 64
    )
    assert cfg.optim_wrapper.clip_grad.max_norm == 10
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (300, 64)
    warmup, ema = cfg.custom_hooks
    assert (warmup.final, warmup.epochs, warmup.min_iters) == (0.01, 3, 100)
    assert (ema.ema_type, ema.momentum, ema.gamma) == ('ExpMomentumEMA', 1e-4, 2000)
    assert ema.update_buffers
    dataset = cfg.train_dataloader.dataset
    assert dataset.close_epoch == 290
    mosaic, affine, colours, flip, _ = dataset.pipeline
    assert (tuple(mosaic.img_scale), mosaic.pad_val) == ((640, 640), 114)
    assert (tuple(affine.scale_range), affine.translate) == ((0.5, 1.5), 0.1)
    assert (colours.hue, colours.saturation, colours.value) == (0.015, 0.7, 0.4)
    assert flip.prob == 0.5
    assert [step.type for step in dataset.late_pipeline][1:] == [
        step.type for step in dataset.pipeline
    ][1:]
    losses = [cfg.model.bbox_head[key].loss_weight for key in ('loss_bbox', 'loss_cls', 'loss_dfl')]
    assert losses == [7.5, 0.5, 1.5]
    assigner = cfg.model.train_cfg.assigner
    assert (assigner.topk, assigner.alpha, assigner.beta) == (10, 0.5, 6.0)
    found = cfg.model.test_cfg
    assert (found.score_thr, found.nms_pre, found.max_per_img) == (0.001, 30000, 300)
    assert found.nms.iou_threshold == 0.7


def test_both_generations_have_three_sizes():
    from mamba_dense.backbones import MambaYOLO

    archs = {load(name).model.backbone.arch for name in BOXES}
    assert archs == set(MambaYOLO.ARCHS) - {'nano'}


def test_the_comparison_differs_in_the_network_alone():
    for data in ('nuclei', 'trees'):
        ours, mmdets = (load(f'{name}-nano_{data}.py') for name in ('mamba-yolo', 'rtmdet'))
        for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg',
                    'custom_hooks', 'val_evaluator'):  # fmt: skip
            assert ours[key] == mmdets[key]
        counts = [sum(p.numel() for p in MODELS.build(cfg.model).parameters()) for cfg in
                  (ours, mmdets)]  # fmt: skip
        assert counts[0] == pytest.approx(counts[1], rel=0.05)
