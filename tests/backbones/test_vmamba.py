"""VMamba: parameter counts of the released code, the two generations' own behaviour."""

import pytest
import torch

from mamba_dense.backbones import VMamba
from mamba_dense.classification import ImageClassifier

# the released code's counts with the classification head, in millions
RELEASED = {
    'vanilla_tiny': 22.893,
    'vanilla_small': 44.417,
    'vanilla_base': 76.254,
    'tiny_s2l5': 30.706,
    'small_s2l15': 50.148,
    'base_s2l15': 88.558,
    'tiny_s1l8': 30.249,
    'small_s1l20': 49.013,
    'base_s1l20': 86.615,
}


def classifier(arch):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.VMamba', arch=arch, out_indices=(3,), output_norm=False),
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=VMamba.ARCHS[arch].dims[-1]),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(VMamba.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
    assert f'{count(model) / 1e6:.3f}' == f'{RELEASED[arch]:.3f}'


def test_exact_counts_of_the_records():
    with torch.device('meta'):
        counts = [count(classifier(arch)) for arch in ('vanilla_tiny', 'tiny_s1l8')]
        counts += [count(VMamba(arch)) for arch in ('vanilla_tiny', 'tiny_s1l8')]
    assert counts == [22893448, 30249064, 22125792, 29481408]


@pytest.fixture
def vanilla():
    torch.manual_seed(0)
    return VMamba(dict(base='vanilla_tiny', dims=(16, 32, 48, 64), depths=(1, 1, 1, 1))).eval()


@pytest.mark.parametrize('size', [(33, 50), (35, 47), (4, 9)], ids=str)
def test_vanilla_crops_to_whole_patches_and_pads_odd_grids(vanilla, size):
    x = torch.randn(1, 3, *size)
    height, width = size[0] // 4, size[1] // 4
    for y in vanilla(x):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_vanilla_refuses_less_than_a_patch(vanilla):
    with pytest.raises(ValueError, match='at least 4 pixels'):
        vanilla(torch.zeros(1, 3, 3, 64))


@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 37)], ids=str)
def test_current_generation_rounds_up(size):
    model = VMamba('nano').eval()
    height, width = (-(-side // 4) for side in size)
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


@pytest.mark.parametrize('routes', ['one-way', 'two-way'])
def test_ablated_routes_are_a_row_of_the_arch(routes):
    model = VMamba(dict(base='nano', routes=routes)).eval()
    assert all(torch.isfinite(y).all() for y in model(torch.randn(1, 3, 32, 48)))


def test_cascade_is_a_field_of_the_arch():
    model = VMamba(dict(base='nano', cascade=True)).eval()
    assert all(torch.isfinite(y).all() for y in model(torch.randn(1, 3, 32, 48)))


def test_unknown_routes_are_named():
    with pytest.raises(ValueError, match='crosss'):
        VMamba(dict(base='nano', routes='crosss'))


def test_no_decay_names_exempt_what_the_authors_exempt():
    """Their rule is 'norm' in the name; in their names the stem's and the downsampling's
    LayerNorms of the current generation are called patch_embed.2, .7 and downsample.3."""

    def exempt(model):
        names = set()
        for path, module in model.named_modules():
            for leaf in getattr(module, 'NO_DECAY', ()):
                prefix = f'{path}.{leaf}' if path else leaf
                names |= {n for n, _ in model.named_parameters() if n.startswith(prefix + '.')}
        return names

    current = exempt(VMamba('nano'))
    assert 'stages.0.blocks.0.norm1.weight' in current
    assert 'stages.0.blocks.0.mixer.out_norm.bias' in current
    assert 'out_norms.3.weight' in current
    assert not any('stem' in n or 'downsample' in n for n in current)
    small = VMamba(dict(base='vanilla_tiny', dims=(16, 32, 48, 64), depths=(1, 1, 1, 1)))
    assert 'stages.0.downsample.norm.weight' in exempt(small)
    # the sheet of the released recipe names stem norms only by number, so they decay in both
    assert not any('stem' in n for n in exempt(small))
