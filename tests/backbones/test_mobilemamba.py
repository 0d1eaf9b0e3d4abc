"""MobileMamba: parameter counts of the released code, channel split, wavelets, heads."""

import pytest
import torch

from mamba_dense.backbones import MobileMamba
from mamba_dense.bricks import Haar
from mamba_dense.classification import ImageClassifier
from mamba_dense.mixers.multi_receptive import MultiReceptiveMixer, split_channels
from mamba_dense.weights import KeyMap
from mamba_dense.weights.zoo import FOLDERS

# the released code's counts with and without the classification head, in millions
RELEASED = {
    't2': (8.837, 8.467),
    't4': (14.176, 13.726),
    's6': (15.037, 14.587),
    'b1': (17.123, 16.673),
    'b2': (17.123, 16.673),
    'b4': (17.123, 16.673),
}
SPLITS = {
    't2': ((112, 28, 4), (192, 54, 26), (224, 110, 34)),
    't4': ((144, 32, 0), (256, 73, 39), (272, 134, 42)),
    's6': ((160, 32, 0), (272, 76, 36), (272, 134, 42)),
    'b1': ((160, 40, 0), (256, 75, 45), (272, 134, 42)),
}


def classifier(arch, **head):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.MobileMamba', arch=arch, out_indices=(2,)),
        head=dict(
            type='mamba_dense.PoolNormLinear', in_channels=MobileMamba.ARCHS[arch].dims[-1], **head
        ),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(MobileMamba.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        counts = count(classifier(arch)), count(MobileMamba(arch))
    assert tuple(round(n / 1e6, 3) for n in counts) == RELEASED[arch]


@pytest.mark.parametrize('arch', SPLITS)
def test_channels_are_split_as_published(arch):
    row = MobileMamba.ARCHS[arch]
    ratios = zip(row.dims, row.scan_ratios, row.local_ratios, strict=True)
    assert tuple(split_channels(*one) for one in ratios) == SPLITS[arch]


def test_a_tie_goes_up_and_the_scan_needs_channels():
    assert split_channels(32, 0.75, 0.2) == (32, 0, 0)
    for channels in (8, 15):
        with pytest.raises(ValueError, match=f'of {channels} channels'):
            split_channels(channels, 0.9, 0.1)


@pytest.mark.parametrize('ratios', [(1.0, 0.0), (0.5, 0.0)], ids=str)
def test_a_mixer_without_a_local_part(ratios):
    mixer = MultiReceptiveMixer(32, scan_ratio=ratios[0], local_ratio=ratios[1], kernel=3)
    x = torch.randn(2, 3, 5, 32)
    assert mixer.local1 is None
    assert mixer(x).shape == x.shape


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(base='nano', kernels=(7, 4, 3)), 'kernel=4'),
        (dict(base='nano', dims=(44, 64, 96)), 'multiple of 8'),
        (dict(base='nano', dims=(8, 64, 96)), 'scan_ratio=0.8 of 8 channels'),
    ],
    ids=lambda value: '' if isinstance(value, dict) else value,
)
def test_bad_fields_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        MobileMamba(options)


@pytest.mark.parametrize('size', [(6, 8), (1, 1), (5, 3), (1, 4)], ids=str)
def test_the_wavelet_transform_undoes_itself(size):
    haar = Haar(3)
    x = torch.randn(2, *size, 3)
    bands = haar.split(x)
    assert tuple(bands.shape) == (2, -(-size[0] // 2), -(-size[1] // 2), 12)
    torch.testing.assert_close(haar.merge(bands, size), x)
    assert not any(p.requires_grad for p in haar.parameters())


def test_wavelet_filters_stay_frozen_through_training():
    model = MobileMamba('nano').train().eval().train()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert len(frozen) == 8
    assert all('.wavelet.' in name for name in frozen)


@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 130)], ids=str)
def test_any_size_is_rounded_up(size):
    model = MobileMamba('nano').eval()
    height, width = (-(-side // model.stem.stride) for side in size)
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        assert torch.isfinite(y).all()
        height, width = -(-height // 2), -(-width // 2)


def test_a_block_starts_as_doubling():
    """The published start: f is the identity, and the outer skip adds the input once more."""
    block = MobileMamba('nano').stages[0].blocks[0].eval()
    x = torch.randn(1, 4, 6, 48)
    torch.testing.assert_close(block(x), 2 * x)


def test_only_the_scans_norms_are_exempt_from_decay():
    """Their rule is 'norm' in the name; in their names the BatchNorms are called bn."""
    model = MobileMamba('nano')
    rules = {leaf for m in model.modules() for leaf in getattr(m, 'NO_DECAY', ())}
    assert rules == {'out_norm', 'out_norms'}
    assert not list(model.out_norms.parameters())


def test_distillation_head():
    model = classifier('nano', num_classes=5, distilled=True)
    x, labels = torch.randn(2, 3, 64, 64), torch.tensor([1, 4])
    one, two = model(x)
    assert one.shape == two.shape == (2, 5)
    assert model(x, labels, mode='loss')['loss'].requires_grad
    assert tuple(model(x, mode='predict').shape) == (2, 5)
    model.eval()
    feature = model.backbone(x)[0]
    model.head.train()
    model.head.norm.eval()
    model.head.distilled_norm.eval()
    pair = model.head(feature)
    torch.testing.assert_close(model.eval()(x), sum(pair) / 2)
    torch.testing.assert_close(model(x, mode='predict'), (sum(pair) / 2).softmax(-1))


def test_the_authors_distillation_keys():
    names = {'head_dist.bn.weight': 'head.distilled_norm.weight', 'head.l.bias': 'head.fc.bias'}
    assert isinstance(MobileMamba.CLASSIFIER_KEYS, KeyMap)
    assert {name: MobileMamba.CLASSIFIER_KEYS.name(name) for name in names} == names


def test_the_zoo_knows_every_published_variant():
    folders = [folder for folder in FOLDERS.values() if folder.family == 'mobilemamba']
    assert {folder.arch for folder in folders} == set(RELEASED)
    for folder in folders:
        assert folder.parameters == RELEASED[folder.arch][0]
