"""EfficientVMamba: published parameter counts, padded odd grids, what scans and what convolves."""

from pathlib import Path

import pytest
import torch

from mamba_dense.backbones import EfficientVMamba
from mamba_dense.bricks import InvertedResidual
from mamba_dense.classification import ImageClassifier
from mamba_dense.engine.param_groups import no_decay_names
from mamba_dense.mixers import ES2D, SS2D
from mamba_dense.reference.record import read_record

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'efficientvmamba'

# with the classification head, and without it but with four output norms, in millions
PUBLISHED = {'tiny': (6.494, 6.109), 'small': (11.274, 10.762), 'base': (33.717, 32.949)}


def classifier(arch):
    dims = EfficientVMamba.ARCHS[arch].dims
    return ImageClassifier(
        backbone=dict(
            type='mamba_dense.EfficientVMamba', arch=arch, out_indices=(3,), output_norm=False
        ),
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=dims[-1]),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_every_published_variant_is_counted():
    assert set(PUBLISHED) | {'nano'} == set(EfficientVMamba.ARCHS)


@pytest.mark.parametrize('arch', PUBLISHED)
def test_parameters_are_the_published_ones(arch):
    with torch.device('meta'):
        counts = count(classifier(arch)), count(EfficientVMamba(arch))
    assert tuple(round(number / 1e6, 3) for number in counts) == PUBLISHED[arch]


def test_exact_counts_of_the_records():
    with torch.device('meta'):
        assert (count(classifier('tiny')), count(EfficientVMamba('tiny'))) == (6493660, 6109332)


def test_early_stages_scan_and_late_ones_convolve():
    model = EfficientVMamba('nano')
    kinds = [
        {type(m) for m in stage.modules()} & {ES2D, InvertedResidual} for stage in model.stages
    ]
    assert kinds == [{ES2D}, {ES2D}, {InvertedResidual}, {InvertedResidual}]


@pytest.mark.parametrize('size', [(33, 50), (35, 47), (4, 9)], ids=str)
def test_crops_to_whole_patches_and_pads_odd_grids(size):
    model = EfficientVMamba('nano').eval()
    height, width = size[0] // 4, size[1] // 4
    for y in model(torch.randn(1, 3, *size)):
        assert tuple(y.shape[2:]) == (height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_refuses_less_than_a_patch():
    with pytest.raises(ValueError, match='at least 4 pixels'):
        EfficientVMamba('nano')(torch.zeros(1, 3, 3, 64))


class TestES2D:
    def test_each_quarter_is_mixed_by_its_own_route(self):
        """A change of one quarter of the scanned map leaves the other three as they are."""
        torch.manual_seed(0)
        mixer = ES2D(16)
        u = torch.randn(1, 6, 8, mixer.dim)
        changed = u.clone()
        changed[:, 1::2, 0::2] += 1.0
        moved = (mixer._mix(u) != mixer._mix(changed)).any(-1)[0]
        assert moved[1::2, 0::2].all()
        assert not moved[0::2].any() and not moved[:, 1::2].any()

    def test_even_grids_are_ss2d_over_the_routes(self):
        torch.manual_seed(0)
        mixer = ES2D(16)
        plain = SS2D(16, ratio=2.0, state=16, conv_bias=True, gated=True, routes='atrous')
        plain.load_state_dict(mixer.state_dict())
        x = torch.randn(2, 4, 6, 16)
        assert torch.equal(mixer(x), plain(x))

    @pytest.mark.parametrize('grid', [(1, 1), (1, 7), (7, 1), (5, 3), (4, 5)], ids=str)
    def test_odd_grids_are_padded_and_cut(self, grid):
        torch.manual_seed(0)
        mixer = ES2D(16)
        H, W = grid
        u = torch.randn(2, H, W, mixer.dim, requires_grad=True)
        padded = torch.zeros(2, H + H % 2, W + W % 2, mixer.dim)
        padded[:, :H, :W] = u.detach()
        y = mixer._mix(u)
        torch.testing.assert_close(y, mixer._mix(padded)[:, :H, :W])
        y.sum().backward()
        assert torch.isfinite(u.grad).all()


def test_one_gate_serves_both_branches():
    block = EfficientVMamba('nano').eval().stages[0].blocks[0]
    x = torch.randn(1, 4, 4, 24)
    u = block.norm(x)
    with torch.no_grad():
        want = x + block.gate(block.mixer(u)) + block.gate(block.local(u))
        torch.testing.assert_close(block(x), want)


@pytest.mark.parametrize('prefix', ['', 'module.module.'])
def test_released_files_load(tmp_path, prefix):
    """The averaged weights of a wrapped model, whose classifier a backbone leaves aside."""
    weights = read_record(GOLDEN / 'tiny.json').weights()
    state = {prefix + name: value.float() for name, value in weights.items()}
    path = tmp_path / 'released.pth'
    torch.save({'state_dict': state}, path)
    backbone = EfficientVMamba('tiny', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone.init_weights()
    merging = state[f'{prefix}layers.2.6.reduction.weight']
    assert torch.equal(backbone.stages[2].downsample.reduction.weight, merging)
    last = state[f'{prefix}layers.2.4.conv_pw.0.weight']
    assert torch.equal(backbone.stages[2].blocks[3].expand.conv.weight, last)
    model = classifier('tiny')
    model.init_cfg = backbone.init_cfg
    model.init_weights()
    assert torch.equal(model.head.fc.bias, state[f'{prefix}classifier.head.bias'])


def test_no_decay_names_exempt_what_the_authors_exempt():
    """Their rule is 'norm' in the name: not the BatchNorms and the stem, known by number."""
    exempt = set(no_decay_names(EfficientVMamba('nano')))
    for name in ('norm', 'mixer.out_norm', 'gate.norm'):
        assert f'stages.0.blocks.0.{name}.weight' in exempt
    assert {'stages.2.downsample.norm.bias', 'out_norms.3.weight'} <= exempt
    assert not any('local' in n or 'expand' in n or n.startswith('stem') for n in exempt)
