"""NO_DECAY becomes weight decay 0, and for VMamba that is the published recipe."""

import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mamba_dense.backbones import VMamba


class Scaled(nn.Module):
    NO_DECAY = ('norm', 'scale')

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(2)
        self.normal = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(2))


def decays(model, **options):
    """Name -> weight decay."""
    config = {
        'constructor': 'mamba_dense.NoDecayConstructor',
        'optimizer': {'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.01},
        **options,
    }
    wrapper = build_optim_wrapper(model, config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {names[id(group['params'][0])]: group for group in wrapper.optimizer.param_groups}
    assert sum(len(group['params']) for group in wrapper.optimizer.param_groups) == len(names)
    return {name: (group['weight_decay'], group['lr']) for name, group in groups.items()}


def test_members_named_are_exempt():
    found = decays(nn.Sequential(Scaled(), nn.LayerNorm(2)))
    exempt = {name for name, (decay, _) in found.items() if decay == 0}
    assert exempt == {'0.norm.weight', '0.norm.bias', '0.scale'}
    assert {decay for name, (decay, _) in found.items() if name not in exempt} == {0.01}


def test_custom_keys_keep_their_learning_rate():
    keys = {'custom_keys': {'norm.': {'lr_mult': 0.5, 'decay_mult': 2.0}}}
    found = decays(nn.Sequential(Scaled()), paramwise_cfg=keys)
    assert found['0.norm.weight'] == (0.0, 0.05)
    assert found['0.normal.weight'] == (0.01, 0.1)


# our name -> the authors', for the names that matter to `norm in name`
_AUTHORS = (
    (r'^stem\.(norm|norm1|norm2)\.', 'patch_embed.'),
    (r'\.blocks\.(\d+)\.norm1\.', r'.blocks.\1.norm.'),
    (r'^out_norms\.(\d+)\.', r'outnorm\1.'),
)


@pytest.mark.parametrize('arch', ['nano', 'vanilla_tiny'])
def test_vmamba_follows_the_published_recipe(arch):
    with torch.device('meta'):
        model = VMamba(arch)
    for name, (decay, _) in decays(model).items():
        theirs = name
        for pattern, replacement in _AUTHORS:
            theirs = re.sub(pattern, replacement, theirs)
        if arch == 'nano':
            theirs = theirs.replace('.downsample.norm.', '.downsample.3.')
        assert (decay == 0) == ('norm' in theirs), name
