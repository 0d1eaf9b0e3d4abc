"""Every COCO config builds what the sheet describes: parameters, recipe, pipelines."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mamba_dense.registry import MODELS

pytest.importorskip('mmdet', reason='needs the extra det')

ROOT = Path(__file__).resolve().parents[2]
COCO = sorted(path.name for path in (ROOT / 'configs' / 'vmamba').glob('*_mask-rcnn_*_coco.py'))
BESIDES_BACKBONE = 19_905_264  # and 256 for each channel of the backbone's outputs
# parameters of the whole detector in millions, as the authors' table prints them
PUBLISHED = {
    'vanilla_tiny': 42,
    'vanilla_small': 64,
    'vanilla_base': 96,
    'tiny_s2l5': 50,
    'tiny_s1l8': 50,
    'small_s2l15': 70,
    'base_s2l15': 108,
}


def load(name):
    cfg = Config.fromfile(ROOT / 'configs' / 'vmamba' / name)
    init_default_scope(cfg.default_scope)
    return cfg


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('name', COCO)
def test_parameters(name):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    channels = model.backbone.out_channels
    assert tuple(cfg.model.neck.in_channels) == tuple(channels)
    expected = count(model.backbone) + BESIDES_BACKBONE + 256 * sum(channels)
    assert count(model) == expected
    arch = cfg.model.backbone.arch
    if arch in PUBLISHED:
        assert round(expected / 1e6) == PUBLISHED[arch]


@pytest.mark.parametrize('name', COCO)
def test_recipe(name):
    """Section by section what the authors' configs say."""
    cfg = load(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.optim_wrapper.constructor == 'mamba_dense.NoDecayConstructor'
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.05)
    assert optimizer.betas == (0.9, 0.999)
    warmup, steps = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end, warmup.by_epoch) == (0.001, 1000, False)
    epochs, milestones = (36, [27, 33]) if '-ms-3x_' in name else (12, [8, 11])
    assert (cfg.train_cfg.max_epochs, steps.end) == (epochs, epochs)
    assert (steps.milestones, steps.gamma) == (milestones, 0.1)
    loader = cfg.train_dataloader
    assert (loader.batch_size, loader.batch_sampler.type) == (2, 'AspectRatioBatchSampler')
    assert loader.dataset.filter_cfg == {'filter_empty_gt': True, 'min_size': 32}
    drop = {'vanilla': 0.2, '-t-': 0.2, '-s-': 0.3, '-b-s2l15': 0.6, '-b-s1l20': 0.5}
    assert cfg.model.backbone.drop_path_rate == next(r for part, r in drop.items() if part in name)
    assert cfg.model.backbone.init_cfg.checkpoint.startswith('https://')


def test_multi_scale_pipeline():
    pipeline = load('vmamba-t-s1l8_mask-rcnn_8xb2-ms-3x_coco.py').train_dataloader.dataset.pipeline
    assert [step.type for step in pipeline][2:] == ['RandomFlip', 'RandomChoice', 'PackDetInputs']
    plain, cropped = pipeline[3].transforms
    sides = [scale[0] for scale in plain[0].scales]
    assert sides == [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800]
    assert {scale[1] for scale in plain[0].scales} == {1333}
    assert [scale[0] for scale in cropped[0].scales] == [400, 500, 600]
    assert tuple(cropped[1].crop_size) == (384, 600)
    assert cropped[1].allow_negative_crop
    assert cropped[2] == plain[0]


def test_every_variant_has_both_schedules():
    from mamba_dense.backbones import VMamba

    known = {arch for arch in VMamba.ARCHS if re.match('(vanilla_)?(tiny|small|base)', arch)}
    for schedule in ('_8xb2-1x_', '_8xb2-ms-3x_'):
        names = [name for name in COCO if schedule in name]
        assert {load(name).model.backbone.arch for name in names} == known
        assert len(names) == len(known)


def test_weight_decay_is_the_published():
    """No decay for the norms in the authors' naming, decay for all else."""
    from mmengine.optim import build_optim_wrapper

    cfg = load('vmamba-vanilla-t_mask-rcnn_8xb2-1x_coco.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    exempt = {
        names[id(group['params'][0])]
        for group in wrapper.optimizer.param_groups
        if group['weight_decay'] == 0
    }
    # the authors' vanilla naming calls every norm but the stem's (patch_embed.2) a norm
    expected = {
        name
        for name in names.values()
        if re.search(r'norm', name) and not name.startswith('backbone.stem.')
    }
    assert exempt == expected
