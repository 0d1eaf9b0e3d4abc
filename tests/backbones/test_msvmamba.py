"""MSVMamba: parameter counts of the released code, the two generations' own behaviour."""

import pytest
import torch

from mamba_dense.backbones import MSVMamba
from mamba_dense.classification import ImageClassifier

# the released code's counts with the classification head, in millions
RELEASED = {
    'nano': 6.864,
    'micro': 11.879,
    'tiny': 33.046,
    'v3_tiny': 32.264,
    'v3_small': 50.216,
    'v3_base': 90.592,
}
SMALL = dict(dims=(16, 32, 48, 64), depths=(1, 1, 1, 1))


def classifier(arch):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.MSVMamba', arch=arch, out_indices=(3,), output_norm=False),
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=MSVMamba.ARCHS[arch].dims[-1]),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(RELEASED) == set(MSVMamba.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
    assert f'{count(model) / 1e6:.3f}' == f'{RELEASED[arch]:.3f}'


def test_exact_counts_of_the_records():
    with torch.device('meta'):
        counts = [count(classifier(arch)) for arch in ('nano', 'v3_tiny')]
        counts += [count(MSVMamba(arch)) for arch in ('nano', 'v3_tiny')]
    assert counts == [6864136, 32263720, 6479808, 31496064]


@pytest.mark.parametrize('size', [(33, 50), (35, 47), (4, 9)], ids=str)
def test_first_generation_crops_to_whole_patches_and_pads_odd_grids(size):
    model = MSVMamba(dict(base='nano', **SMALL)).eval()
    height, width = size[0] // 4, size[1] // 4
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_first_generation_refuses_less_than_a_patch():
    with pytest.raises(ValueError, match='at least 4 pixels'):
        MSVMamba(dict(base='nano', **SMALL))(torch.zeros(1, 3, 3, 64))


@pytest.mark.parametrize('gated', [False, True], ids=['tiny', 'base'])
@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 37)], ids=str)
def test_v3_rounds_up(gated, size):
    model = MSVMamba(dict(base='v3_tiny', gated=gated, **SMALL)).eval()
    height, width = (-(-side // 4) for side in size)
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_v3_trains():
    model = MSVMamba(dict(base='v3_base', drop_path_rate=0.0, **SMALL))
    sum(y.square().sum() for y in model(torch.randn(2, 3, 33, 50))).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
