"""VSSD: parameter counts of the released code, grids of any size, positions and statistics."""

import pytest
import torch

from mamba_dense.backbones import VSSD
from mamba_dense.classification import ImageClassifier
from mamba_dense.mixers import NonCausalSSD, SelfAttention

# the released code's counts with the classification head, in millions
RELEASED = {'micro': 13.513, 'tiny': 24.271, 'small': 40.076, 'base': 88.823}


def classifier(arch):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.VSSD', arch=arch, out_indices=(3,), output_norm=False),
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=VSSD.ARCHS[arch].dims[-1]),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(VSSD.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
    assert f'{count(model) / 1e6:.3f}' == f'{RELEASED[arch]:.3f}'


def test_exact_counts_of_the_records():
    with torch.device('meta'):
        assert [count(classifier('micro')), count(VSSD('micro'))] == [13512964, 13128636]


@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 37)], ids=str)
def test_sizes_round_up(size):
    model = VSSD('nano').eval()
    height, width = (-(-side // 4) for side in size)
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_attention_is_in_the_last_stage():
    kinds = [type(block.mixer) for stage in VSSD('nano').stages for block in stage.blocks]
    assert kinds == [NonCausalSSD] * 4 + [SelfAttention]


def test_the_classifier_takes_any_size():
    model = classifier('nano').eval()
    assert model(torch.randn(2, 3, 50, 37)).shape == (2, 1000)


def test_frozen_statistics_stay():
    model = VSSD('nano', frozen_stages=1)
    before = [norm.running_mean.clone() for norm in _norms(model)]
    model.train()(torch.randn(2, 3, 64, 64))
    moved = [
        not torch.equal(a, norm.running_mean) for a, norm in zip(before, _norms(model), strict=True)
    ]
    assert moved == [False] * 6 + [True, True]  # five in the stem, one in each downsampling


def _norms(model):
    return [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
