"""Vim's ADE20K configs: section by section what the authors' say."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mamba_dense.backbones import Vim
from tests.configs.test_configs import SEGMENTORS, build, load

ADE = [name for name in SEGMENTORS if name.startswith('vim/') and '_ade20k-' in name]


@pytest.mark.parametrize('name', ADE)
def test_recipe(name):
    cfg = load(name)
    tiny = cfg.model.backbone.arch.startswith('tiny')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay) == ((2e-4, 0.1) if tiny else (1e-4, 0.05))
    assert (optimizer.type, optimizer.betas) == ('AdamW', (0.9, 0.999))
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end) == (1e-6, 1500)
    assert (poly.power, poly.eta_min, poly.begin, poly.end) == (1.0, 0.0, 1500, 60000)
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (60000, 8)
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(341, 341))
    backbone = cfg.model.backbone
    assert (backbone.img_size, backbone.pyramid, backbone.drop_path_rate) == (512, True, 0.1)
    assert backbone.feature == ('hidden' if tiny else 'residual')
    assert backbone.get('rotary', False) != tiny


def test_every_variant_has_its_config():
    archs = {load(name).model.backbone.arch for name in ADE}
    assert archs == set(Vim.ARCHS) - {'nano'}


# of the whole network without the authors' unused final norm; they print 13 M and 46 M
@pytest.mark.parametrize(('stem', 'count'), [('t', 12_311_084), ('s', 45_447_980)])
def test_parameters(stem, count):
    model = build(f'vim/vim-{stem}_upernet_4xb8-60k_ade20k-512x512.py')
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.backbone.out_indices == (5, 11, 17, 23)
    assert model.backbone.strides == (4, 8, 16, 32)
    assert model.backbone.stem.pos_embed.shape[1:3] == (32, 32)
    # the records' backbones: 7,363,392 and 27,113,088 with positions of a 4x4 grid and that norm
    dim = model.backbone.arch.dim
    record = {'t': 7_363_392, 's': 27_113_088}[stem]
    own = sum(p.numel() for p in model.backbone.parameters())
    assert own == record + (32 * 32 - 4 * 4) * dim - dim


def test_decay_and_rates_of_the_small_network():
    cfg = load('vim/vim-s_upernet_4xb8-60k_ade20k-512x512.py')
    model = build('vim/vim-s_upernet_4xb8-60k_ade20k-512x512.py')
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert len(groups) == len(names)
    for group in groups:
        (p,) = group['params']
        name = names[id(p)]
        assert group['weight_decay'] == (0.0 if p.ndim == 1 else 0.05), name
        scale = 0.95**25 if name.startswith('backbone.stem.') else 1.0
        assert group['lr'] == pytest.approx(1e-4 * scale), name
    assert all(isinstance(group['params'][0], torch.Tensor) for group in groups)
