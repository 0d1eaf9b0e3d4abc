"""MambaOut: parameter counts of the released code, the block's widths, sizes, decay, files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mamba_dense.backbones import MambaOut
from mamba_dense.classification import ImageClassifier
from mamba_dense.engine.param_groups import no_decay_names
from mamba_dense.mixers import GatedConv
from mamba_dense.reference.record import read_record
from mamba_dense.weights import load_weights

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'mambaout'
# the released code's counts with the classification head, in millions
RELEASED = {'femto': 7.305, 'kobe': 9.141, 'tiny': 26.545, 'small': 48.488, 'base': 84.813}


def classifier(arch, **options):
    return ImageClassifier(
        backbone=dict(type='mamba_dense.MambaOut', arch=arch, out_indices=(3,)),
        head=dict(
            type='mamba_dense.PoolNormMlp', in_channels=MambaOut.ARCHS[arch].dims[-1], **options
        ),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(MambaOut.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
    assert f'{count(model) / 1e6:.3f}' == f'{RELEASED[arch]:.3f}'
    width = model.backbone.out_channels[-1]
    # two matrices, a bias, a norm of 4 and one of 1 widths, the classes' bias
    assert count(model.head) == 4 * width**2 + 14 * width + 4000 * width + 1000


def test_hidden_widths_are_cut_not_rounded():
    with torch.device('meta'):
        model = MambaOut('base')
    hidden = [stage.blocks[0].mixer.widths[0] for stage in model.stages]
    assert hidden == [341, 682, 1365, 2048]


@pytest.mark.parametrize('size', [(1, 1), (33, 50), (1, 37)], ids=str)
def test_odd_sizes_round_up(size):
    height, width = (-(-side // 4) for side in size)
    for y in MambaOut('nano').eval()(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_outputs_have_norms_where_asked_for():
    assert len(MambaOut('nano').out_norms) == 0
    norms = MambaOut('nano', output_norm=True).out_norms
    assert [norm.normalized_shape[0] for norm in norms.values()] == [24, 48, 96, 144]
    assert {norm.eps for norm in norms.values()} == {1e-6}


def test_every_norm_has_the_published_eps():
    norms = [m for m in classifier('nano').modules() if isinstance(m, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}


def test_decay_spares_whatever_has_one_axis():
    model = MambaOut('nano', output_norm=True)
    exempt = {name for name, p in model.named_parameters() if p.ndim == 1}
    assert set(no_decay_names(model)) == exempt


def test_initial_values():
    torch.manual_seed(0)
    for module in MambaOut('femto').modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            assert module.bias.abs().max() == 0
            if module.weight.numel() > 5000:
                assert 0.0185 < module.weight.std() < 0.0215


def test_the_authors_file_fills_backbone_and_classifier(tmp_path):
    record = read_record(GOLDEN / 'femto.json')
    file = tmp_path / 'mambaout_femto.pth'
    torch.save({key: value.float() for key, value in record.weights().items()}, file)
    whole = classifier('femto')
    load_weights(whole, file, keymap=whole.AUTHOR_KEYS)
    part = MambaOut('femto', init_cfg=dict(type='Pretrained', checkpoint=str(file)))
    part.init_weights()
    for name, value in part.state_dict().items():
        assert torch.equal(value, whole.backbone.state_dict()[name]), name
    again = tmp_path / 'ours.pth'
    torch.save(whole.state_dict(), again)
    other = classifier('femto')
    assert len(load_weights(other, again, keymap=other.AUTHOR_KEYS).loaded) == len(
        whole.state_dict()
    )


def test_bad_mixers_are_named():
    with pytest.raises(ValueError, match='conv_channels=9'):
        GatedConv(8, 8, 9)
    with pytest.raises(ValueError, match='kernel=4'):
        GatedConv(8, 16, 8, kernel=4)
    with pytest.raises(ValueError, match='ratio=0'):
        classifier('nano', ratio=0)
