"""EfficientViM: parameter counts, hidden states, fusion and distillation, the neck, batch norms."""

from pathlib import Path

import pytest
import torch

from mamba_dense.backbones import EfficientViM
from mamba_dense.bricks import ExtendedFPN
from mamba_dense.classification import ImageClassifier
from mamba_dense.engine.param_groups import no_decay_names
from mamba_dense.mixers import HiddenStateMixer
from mamba_dense.reference.record import read_record
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_weights

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'efficientvim'
# the released code's counts in millions: classifier, backbone
RELEASED = {
    'm1': (6.679, 5.714),
    'm2': (13.904, 12.489),
    'm3': (16.604, 15.029),
    'm4': (19.607, 18.031),
}
DISTILLED = {'m1': 7.643, 'm4': 21.179}


def classifier(arch, num_classes=1000, **options):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.EfficientViM', arch=arch, hidden_states=True),
        head=dict(
            type='mamba_dense.HiddenStateFusion',
            in_channels=EfficientViM.ARCHS[arch].dims,
            num_classes=num_classes,
            **options,
        ),
    )


def millions(model):
    return f'{sum(p.numel() for p in model.parameters()) / 1e6:.3f}'


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(EfficientViM.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
        assert (millions(model), millions(model.backbone)) == tuple(
            f'{count:.3f}' for count in RELEASED[arch]
        )
        assert EfficientViM(arch).strides == (16, 32, 64)


@pytest.mark.parametrize('arch', DISTILLED)
def test_distillation_adds_a_branch(arch):
    with torch.device('meta'):
        assert millions(classifier(arch, distillation=True)) == f'{DISTILLED[arch]:.3f}'


@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 37)], ids=str)
def test_odd_sizes_round_up(size):
    height, width = (-(-side // 4) for side in size)
    for y in EfficientViM('nano').eval()(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_hidden_states_follow_the_maps():
    model = EfficientViM('nano', out_indices=(2, 0), hidden_states=True).eval()
    shapes = [tuple(y.shape) for y in model(torch.randn(2, 3, 32, 48))]
    assert shapes == [(2, 96, 2, 3), (2, 32, 8, 12), (2, 9, 96), (2, 25, 32)]


def test_the_constant_of_the_softmax_is_frozen_and_has_no_effect():
    mixer = HiddenStateMixer(8, 4)
    x = torch.randn(1, 3, 5, 8)
    want = mixer(x)
    assert not mixer.A.requires_grad
    mixer.A.add_(3)
    assert all(torch.equal(a, b) for a, b in zip(mixer(x), want, strict=True))


def test_branches_of_a_distilled_classifier():
    torch.manual_seed(0)
    model = classifier('nano', 5, distillation=True)
    x, labels = torch.randn(3, 3, 64, 64), torch.tensor([[0, 1], [2, 2], [4, 3]])
    loss = model(x, labels, mode='loss')['loss']
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    with pytest.raises(ValueError, match='2 labels'):
        model(x, labels[:, 0], mode='loss')
    model.eval()
    both = model.head.logits(model.backbone(x))
    torch.testing.assert_close(model(x), (both[0] + both[1]) / 2)
    torch.testing.assert_close(model(x, mode='predict').sum(dim=1), torch.ones(3))


def test_decay_spares_what_the_authors_spare():
    """One axis, or a bias; their LayerNorms' weights have three axes and do decay."""
    exempt = set(no_decay_names(EfficientViM('nano')))
    assert 'stages.0.blocks.0.mixer.D' in exempt
    assert 'stages.0.blocks.0.norm.bias' in exempt
    assert 'stages.0.downsample.excite.fc1.bias' in exempt
    assert 'stem.0.norm.weight' in exempt
    assert not {'stages.0.blocks.0.norm.weight', 'stages.0.blocks.0.gates'} & exempt


def test_initial_values():
    for name, value in EfficientViM('nano').named_parameters():
        if name.endswith('gates'):
            assert (value == 1e-4).all()
        if name.endswith('mixer.A'):
            assert value.min() >= 1 and value.max() <= 16


@pytest.mark.parametrize('record', ['m1', 'm1_dist'])
def test_the_authors_file_fills_backbone_and_classifier(tmp_path, record):
    weights = {k: v.float() for k, v in read_record(GOLDEN / f'{record}.json').weights().items()}
    file = tmp_path / 'm1.pth'
    torch.save({'model': weights}, file)
    whole = classifier('m1', distillation=record == 'm1_dist')
    load_weights(whole, file, keymap=whole.AUTHOR_KEYS)
    part = EfficientViM('m1', init_cfg=dict(type='Pretrained', checkpoint=str(file)))
    part.init_weights()
    for name, value in part.state_dict().items():
        assert torch.equal(value, whole.backbone.state_dict()[name]), name
    torch.save(whole.state_dict(), file)
    again = classifier('m1', distillation=record == 'm1_dist')
    load_weights(again, file, keymap=again.AUTHOR_KEYS)


def test_the_neck_is_built_by_name_and_fits():
    backbone = EfficientViM('nano').eval()
    neck = MODELS.build(
        dict(
            type='mamba_dense.ExtendedFPN',
            in_channels=[32, 64, 96],
            out_channels=8,
            finer=1,
            coarser=2,
        )
    )
    levels = neck(backbone(torch.randn(1, 3, 96, 80)))
    assert [tuple(y.shape[2:]) for y in levels] == [
        (48, 40),
        (24, 20),
        (12, 10),
        (6, 5),
        (3, 3),
        (2, 2),
    ]
    assert len(levels) == neck.num_outs


def test_bad_options_are_named():
    with pytest.raises(ValueError, match='states='):
        EfficientViM(dict(base='nano', states=(1, 2)))
    with pytest.raises(ValueError, match='multiple of 8'):
        EfficientViM(dict(base='m1', dims=(100, 128, 128)))
    with pytest.raises(ValueError, match='finer=-1'):
        ExtendedFPN([8], 8, finer=-1)
    with pytest.raises(ValueError, match='num_classes=0'):
        classifier('nano', 0)
