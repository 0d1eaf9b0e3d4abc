"""The contracts of tests/contracts.py for every registered backbone."""

import pytest
import torch
from mmengine.registry import MODELS as ROOT

import mamba_dense.backbones as shelf
from mamba_dense.backbones.base import Backbone
from mamba_dense.registry import MODELS
from tests import contracts

MODELS.import_from_location()
BACKBONES = {
    name: kind
    for name, kind in MODELS.module_dict.items()
    if isinstance(kind, type) and issubclass(kind, Backbone)
}
EVERY_ARCH = [(name, arch) for name, kind in BACKBONES.items() for arch in kind.ARCHS]


def count(kind):
    """How many stages, or blocks, the nano variant has."""
    arch = kind.ARCHS['nano']
    return len(arch.depths) if hasattr(arch, 'depths') else arch.depth


@pytest.fixture(params=sorted(BACKBONES))
def kind(request):
    return BACKBONES[request.param]


@pytest.fixture
def nano(kind):
    torch.manual_seed(0)
    return kind('nano', drop_path_rate=0.0)


def test_shelf_lists_what_is_registered():
    assert set(shelf.__all__) == set(BACKBONES)


def test_builds_through_the_root_registry(kind):
    model = ROOT.build(dict(type=f'mamba_dense.{kind.__name__}', arch='nano', out_indices=(0, 2)))
    assert isinstance(model, kind)
    assert model.out_indices == (0, 2)


@pytest.mark.parametrize('size', [(64, 64), (33, 65), (48, 31)], ids=str)
def test_finite(nano, size):
    contracts.check_finite(nano, contracts.image(nano, *size))


def test_outputs_are_contiguous(nano):
    """mmcv's compiled operators, RoIAlign for one, misread any other memory format."""
    for y in nano(contracts.image(nano, 64, 96, batch=2)):
        assert y.is_contiguous()


def test_smallest_image(nano):
    side = nano.stem.min_size
    contracts.check_finite(nano, contracts.image(nano, side, side + 3))


def test_declared_channels_and_strides(kind):
    model = kind('nano', out_indices=(2, 0))
    contracts.check_declared(model, contracts.image(model, 128, 192, batch=2))


def test_every_parameter_gets_a_gradient(nano):
    contracts.check_every_gradient(nano, contracts.training_image(nano, 64, 96))


def test_checkpointing_changes_nothing(kind):
    model = kind('nano', drop_path_rate=0.3)
    contracts.check_checkpointing(model, contracts.training_image(model, 32, 64, batch=2))


@pytest.mark.parametrize('stages', [0, 2])
def test_frozen_stages(kind, stages):
    untrained = {name for name, p in kind('nano').named_parameters() if not p.requires_grad}
    model = kind('nano', frozen_stages=stages)
    contracts.check_frozen(model, contracts.training_image(model, 64, 64), stages, untrained)


def test_norm_eval(kind):
    if not contracts.batch_norms(kind('nano')):
        with pytest.raises(ValueError, match='norm_eval=True'):
            kind('nano', norm_eval=True)
        return
    model = kind('nano', norm_eval=True)
    contracts.check_norm_eval(model, contracts.image(model, 64, 64, batch=2))


def test_no_decay_names_what_is_there(nano):
    contracts.check_no_decay(nano)


def test_state_dict_round_trip(kind, tmp_path):
    x = torch.randn(1, 3, 32, 48)
    contracts.check_state_dict(lambda: kind('nano'), x, tmp_path)


@pytest.mark.parametrize('channels', [1, 4])
def test_input_channels(kind, channels):
    model = kind('nano', in_channels=channels)
    contracts.check_finite(model, contracts.image(model, 32, 32))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_autocast(nano, dtype):
    contracts.check_autocast(nano, contracts.training_image(nano, 64, 64), dtype)


def test_compiles_without_graph_break(nano):
    contracts.check_compile(nano, 64, 128, 'aot_eager')


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_inductor(nano):
    contracts.check_compile(nano, 64, 128, 'inductor')


def test_batch_does_not_mix(nano):
    x = contracts.image(nano, 32, 32, batch=3)
    whole = contracts.features(nano, x)
    alone = contracts.features(nano, x[1:2])
    for a, b in zip(whole, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('name', 'arch'), EVERY_ARCH, ids=str)
def test_every_variant_declares_the_truth(name, arch):
    with torch.device('meta'):
        model = BACKBONES[name](arch)
    contracts.check_declared(model, contracts.declared_image(model))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(arch='tinny'), ("arch='tinny'", 'nano')),
        (dict(arch=dict(base='nano', dephts=(1, 1))), ('dephts', 'depth', 'drop_path_rate')),
        (dict(arch='nano', out_indices=(0, 99)), ('out_indices', '0..{last}')),
        (dict(arch='nano', out_indices=(-1,)), ('out_indices',)),
        (dict(arch='nano', out_indices=(1, 1)), ('out_indices', 'once')),
        (dict(arch='nano', frozen_stages=99), ('frozen_stages=99', '-1')),
        (dict(arch='nano', in_channels=0), ('in_channels=0',)),
        (dict(arch='nano', drop_path_rate=1.5), ('1.5',)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else '',
)
def test_bad_options_are_named(kind, options, words):
    with pytest.raises(ValueError) as error:
        kind(**options)
    last = count(kind) - 1
    assert all(word.format(last=last) in str(error.value) for word in words)


@pytest.mark.parametrize('beyond', [0, 1])
def test_the_last_index_is_one_less_than_the_count(kind, beyond):
    if not beyond:
        assert kind('nano', out_indices=(count(kind) - 1,)).out_indices == (count(kind) - 1,)
        return
    with pytest.raises(ValueError, match='out_indices'):
        kind('nano', out_indices=(count(kind),))


def test_arch_of_another_type(kind):
    with pytest.raises(TypeError, match='name'):
        kind(3)


def test_bad_images_are_named(nano):
    with pytest.raises(ValueError, match='in_channels'):
        nano(torch.zeros(1, 7, 64, 64))
    with pytest.raises(ValueError, match=r'\(3, 64, 64\)'):
        nano(torch.zeros(3, 64, 64))


def test_arch_as_a_mapping(kind):
    nano = kind.ARCHS['nano']
    if hasattr(nano, 'depths'):
        model = kind(dict(base='nano', depths=[2] * len(nano.dims)))
        assert model.arch.depths == (2,) * len(nano.dims)
    else:
        model = kind(dict(base='nano', depth=3))
        assert model.arch.depth == len(model.blocks) == 3
    assert kind.ARCHS['nano'] == nano != model.arch
