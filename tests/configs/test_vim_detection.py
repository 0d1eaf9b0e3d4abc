"""Vim's COCO configs: section by section what the sheet says, and parameters to the last one."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mamba_dense.backbones import Vim
from mamba_dense.registry import MODELS

pytest.importorskip('mmdet', reason='needs the extra det')

ROOT = Path(__file__).resolve().parents[2]
COCO = sorted(path.name for path in (ROOT / 'configs' / 'vim').glob('*_coco.py'))
TINY = 'vim-t_cascade-mask-rcnn_8xb8-lsj-100e_coco.py'
# backbone, neck, region proposals, three box heads and a mask head; none of them is published
PARAMETERS = {
    'tiny': 60_080_078,
    'small': 79_918_142,
    'base': 155_094_302,
    'tiny_stride8': 62_334_782,
    'small_stride8': 84_243_230,
}


def load(name):
    cfg = Config.fromfile(ROOT / 'configs' / 'vim' / name)
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg):
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def convolution(inputs, outputs, side, norm=False):
    """Weights of a convolution, with a bias or with a norm's weights and biases."""
    return inputs * outputs * side**2 + (2 * outputs if norm else outputs)


@pytest.mark.parametrize('name', COCO)
def test_parameters(name):
    cfg = load(name)
    model = build(cfg)
    anchors = 3
    rpn = 2 * convolution(256, 256, 3) + convolution(256, anchors * (1 + 4), 1)
    box = 4 * convolution(256, 256, 3, norm=True) + (256 * 49 + 1) * 1024 + 1025 * (81 + 4)
    mask = 4 * convolution(256, 256, 3, norm=True) + convolution(256, 256, 2)
    mask += convolution(256, 80, 1)
    heads = rpn + 3 * box + mask
    assert (count(model.rpn_head), count(model.roi_head)) == (rpn, 3 * box + mask)
    assert count(model) == count(model.backbone) + count(model.neck) + heads
    assert count(model) == PARAMETERS[cfg.model.backbone.arch]
    if name == TINY:  # the record's network, whose table has the 4x4 grid of a picture of 64
        assert count(model) == 9_584_752 + (64 * 64 - 4 * 4) * 192 + heads


@pytest.mark.parametrize('name', COCO)
def test_network(name):
    cfg = load(name)
    model = build(cfg)
    backbone = cfg.model.backbone
    assert (backbone.img_size, tuple(backbone.out_indices), backbone.rotary) == (1024, (23,), True)
    assert (backbone.feature, backbone.drop_path_rate) == ('residual', 0.1)
    assert tuple(cfg.model.neck.in_channels) == tuple(model.backbone.out_channels)
    strides = [model.backbone.strides[0] / scale for scale in cfg.model.neck.scales]
    assert strides == [4, 8, 16, 32]
    assert list(cfg.model.rpn_head.anchor_generator.strides) == [4, 8, 16, 32, 64]
    assert cfg.model.rpn_head.num_convs == 2
    roi = cfg.model.roi_head
    assert (roi.type, roi.num_stages) == ('mamba_dense.OneMaskCascadeRoIHead', 3)
    assert len(model.roi_head.mask_head) == 1
    weights = [[1 / std for std in head.bbox_coder.target_stds] for head in roi.bbox_head]
    for found, wanted in zip(weights, ((10, 5), (20, 10), (30, 15)), strict=True):
        assert found == pytest.approx([wanted[0]] * 2 + [wanted[1]] * 2)
    assert all(head.reg_class_agnostic for head in roi.bbox_head)
    stages = cfg.model.train_cfg.rcnn
    assert [stage.assigner.pos_iou_thr for stage in stages] == [0.5, 0.6, 0.7]


@pytest.mark.parametrize('name', COCO)
def test_decay_and_rates(name):
    """All but the table of positions decays; the rate falls from block to block."""
    cfg = load(name)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    cfg.optim_wrapper.type = 'OptimWrapper'  # the other one asks for a GPU
    model = build(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert len(groups) == len(names)
    rate = 0.7 if '/vim-b' in f'/{name}' else 0.837
    for group in groups:
        assert group['betas'] == (0.9, 0.999)
        parameter = names[id(group['params'][0])]
        place = parameter.split('.')
        layer = 25
        if parameter.startswith('backbone.stem.'):
            layer = 0
        elif parameter.startswith('backbone.blocks.'):
            layer = int(place[2]) + 1
        assert group['lr'] == pytest.approx(1e-4 * rate ** (25 - layer)), parameter
        decay = 0.0 if parameter == 'backbone.stem.pos_embed' else 0.1
        assert group['weight_decay'] == decay, parameter


@pytest.mark.parametrize('name', COCO)
def test_schedule_and_data(name):
    cfg = load(name)
    assert (cfg.train_cfg.type, cfg.train_cfg.max_iters) == ('IterBasedTrainLoop', 184_375)
    warmup, steps = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end, warmup.by_epoch) == (0.001, 250, False)
    assert (steps.milestones, steps.gamma, steps.by_epoch) == ([163_889, 177_546], 0.1, False)
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 64
    resize, crop, _, flip = cfg.train_dataloader.dataset.pipeline[2:6]
    assert (resize.type, tuple(resize.scale)) == ('RandomResize', (1024, 1024))
    assert tuple(resize.ratio_range) == (0.1, 2.0)
    assert (crop.type, tuple(crop.crop_size)) == ('RandomCrop', (1024, 1024))
    assert (flip.type, flip.prob) == ('RandomFlip', 0.5)
    assert tuple(cfg.val_dataloader.dataset.pipeline[1].scale) == (1024, 1024)
    assert cfg.test_dataloader.dataset.pipeline == cfg.val_dataloader.dataset.pipeline
    assert cfg.model.data_preprocessor.pad_size_divisor == 1024
    assert cfg.default_hooks.checkpoint.by_epoch is False


def test_every_variant_has_its_config():
    assert {load(name).model.backbone.arch for name in COCO} == set(Vim.ARCHS) - {'nano'}


def test_only_the_published_result_is_named():
    texts = {name: (ROOT / 'configs' / 'vim' / name).read_text() for name in COCO}
    assert '45.7 box AP' in texts[TINY]
    assert all('no published result' in text for name, text in texts.items() if name != TINY)
