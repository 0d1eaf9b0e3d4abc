"""Res-VMamba: parameter counts, the three forms of its residual, and files that have none."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.backbones import ResVMamba, VMamba
from mamba_dense.classification import ImageClassifier
from mamba_dense.reference.record import read_record

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'res_vmamba'
# with 241 classes: without and with the residual's convolutions, in millions
RELEASED = {'tiny': (22.310, 22.698), 'small': (43.834, 44.222)}
SMALL = {'base': 'tiny', 'dims': (16, 32, 48, 64), 'depths': (1, 1, 1, 1)}


def classifier(arch, **fields):
    dims = ResVMamba.ARCHS[arch].dims
    return ImageClassifier(
        backbone=dict(
            type='mamba_dense.ResVMamba',
            arch=dict(base=arch, **fields),
            out_indices=(3,),
            output_norm=False,
        ),
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=dims[-1], num_classes=241),
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        counts = [count(classifier(arch, residual=form)) for form in ('absent', 'learned')]
        drawn = count(classifier(arch, residual='random'))
    assert tuple(round(number / 1e6, 3) for number in counts) == RELEASED[arch]
    assert counts[1] - counts[0] == 388416
    assert drawn == counts[0]


def test_base_has_widths_of_its_own():
    with torch.device('meta'):
        counts = [count(classifier('base', residual=form)) for form in ('absent', 'learned')]
    assert counts[1] - counts[0] == 129 * 256 + 257 * 512 + 513 * 1024


def build(residual):
    torch.manual_seed(0)
    return ResVMamba({**SMALL, 'residual': residual}).eval()


def test_absent_is_vmamba():
    ours = build('absent')
    vanilla = VMamba({**SMALL, 'base': 'vanilla_tiny'}).eval()
    vanilla.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 40, 52)
    for a, b in zip(ours(x), vanilla(x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('size', [(64, 32), (36, 52), (4, 9)], ids=str)
def test_learned_adds_the_pooled_input(size):
    model, x = build('learned'), torch.randn(1, 3, *size)
    tokens = model.stem(x.permute(0, 2, 3, 1))
    stage = model.stages[0]
    result = stage.blocks[0](tokens)
    merging = stage.downsample
    pooled = F.max_pool2d(tokens.movedim(-1, 1), 2, ceil_mode=True)
    kernel = merging.residual
    want = merging(result, tokens)
    added = F.conv2d(pooled, kernel.weight, kernel.bias).movedim(1, -1)
    merging.residual = None
    torch.testing.assert_close(want, merging(result, tokens) + added)


def test_learned_and_absent_agree_on_the_first_feature_alone():
    learned, absent = build('learned'), build('absent')
    own = absent.state_dict()
    learned.load_state_dict(own, strict=False)
    x = torch.randn(1, 3, 64, 64)
    first, *later = [torch.equal(a, b) for a, b in zip(learned(x), absent(x), strict=True)]
    assert first and not any(later)


def test_random_is_drawn_in_every_call():
    model, x = build('random'), torch.randn(1, 3, 64, 64)
    runs = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        runs.append(model(x)[1])
    assert torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0], runs[1])
    assert set(model.state_dict()) == set(build('absent').state_dict())
    assert all(torch.isfinite(y).all() for y in runs)


def test_random_trains():
    model = build('random').train()
    sum(y.square().mean() for y in model(torch.randn(1, 3, 33, 50))).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_unknown_residual_is_named():
    with pytest.raises(ValueError, match="residual='pooled'.*learned, random, absent"):
        build('pooled')


@pytest.mark.parametrize('old', [False, True], ids=['current names', 'older names'])
def test_released_files_give_vmamba(tmp_path, old):
    """A file without the convolutions sets them to 0, in the backbone and in the classifier."""
    record = read_record(GOLDEN / 'tiny.json')
    state = {key: value.float() for key, value in record.weights().items()}
    state = {key: value for key, value in state.items() if not key.startswith('res_convs.')}
    if old:
        pairs = (('patch_embed.0.', 'patch_embed.proj.'), ('.op.', '.self_attention.'))
        for new_name, old_name in (*pairs, ('classifier.', '')):
            state = {key.replace(new_name, old_name): value for key, value in state.items()}
    path = tmp_path / 'released.pth'
    torch.save({'model': state}, path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    learned = ResVMamba('tiny', init_cfg=init_cfg).eval()
    vanilla = VMamba('vanilla_tiny', init_cfg=init_cfg).eval()
    model = classifier('tiny')
    model.init_cfg = init_cfg
    for network in (learned, vanilla, model):
        network.init_weights()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(learned(x), vanilla(x), strict=True):
            assert torch.equal(a, b)
    assert not model.backbone.stages[2].downsample.residual.weight.any()


def test_a_file_of_the_absent_form_gives_the_same_features(tmp_path, caplog):
    path = tmp_path / 'ours.pth'
    absent = build('absent')
    torch.save(absent.state_dict(), path)
    model = build('learned')
    model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model.init_weights()
    assert 'stages.0.downsample.residual.weight: not in the file, set to 0' in caplog.text
    x = torch.randn(1, 3, 64, 64)
    for a, b in zip(model(x), absent(x), strict=True):
        assert torch.equal(a, b)
