"""EfficientViM's Semantic FPN configs: they build, the neck fits the backbone, the recipe holds."""

import pytest
import torch

from mamba_dense.backbones import EfficientViM
from mamba_dense.registry import MODELS
from tests.configs.test_configs import CONFIGS, batch, build, load

FPN = [name for name in CONFIGS if name.startswith('efficientvim/') and '_fpn_' in name]


def test_every_published_variant_has_its_config():
    assert {load(name).model.backbone.arch for name in FPN} == set(EfficientViM.ARCHS) - {'nano'}


@pytest.mark.parametrize('name', FPN)
def test_the_neck_fits_the_backbone(name):
    model = build(name)
    assert tuple(model.neck.in_channels) == model.backbone.out_channels
    assert model.backbone.norm_eval
    assert model.decode_head.num_classes == 150


@pytest.mark.parametrize('name', FPN)
def test_recipe(name):
    cfg = load(name)
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=1e-4)
    assert 'constructor' not in cfg.optim_wrapper
    (poly,) = cfg.param_scheduler
    assert (poly.power, poly.eta_min, poly.begin, poly.end) == (0.9, 1e-6, 0, 40000)
    assert cfg.train_cfg.max_iters == 40000
    assert cfg.train_dataloader.batch_size == 8


def test_a_step_on_a_small_variant():
    cfg = load(FPN[0])
    cfg.model.backbone.arch = 'nano'
    cfg.model.neck.in_channels = [32, 64, 96]
    cfg.model.decode_head.norm_cfg.type = 'BN'
    cfg.model.data_preprocessor.size = (64, 64)
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(batch(cfg, (64, 64)), training=True)
    losses = model(**data, mode='loss')
    loss = sum(value for key, value in losses.items() if 'loss' in key)
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    # the pyramid's last level is pooled from the one before: everything takes part
    assert not lacking
