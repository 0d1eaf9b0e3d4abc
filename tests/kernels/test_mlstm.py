"""The matrix LSTM: its forms agree in results and every gradient, and what the op owes its user."""

import importlib
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import mamba_kernels
from mamba_kernels import mlstm, mlstm_flops

NAMES = ('q', 'k', 'v', 'i', 'f')
LENGTHS = [1, 63, 123, 1000]
FORMS = ['parallel', 'chunked']
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-6}


def inputs(length, *, batch=2, heads=2, width=8, extreme=False, dtype=torch.float64):
    """Random tensors of one call; extreme gates stand at +-30."""
    torch.manual_seed(length)
    q, k, v = (torch.randn(batch, heads, length, width, dtype=torch.float64) for _ in range(3))
    i, f = (torch.randn(batch, heads, length, dtype=torch.float64) for _ in range(2))
    if extreme:
        i, f = 30 * i.sign() + i / 100, 30 * f.sign()
    return [x.to(dtype) for x in (q, k, v, i, f + 2 * (not extreme))]


def both(tensors, form):
    """Result and gradients by name, of the result weighted by fixed numbers."""
    leaves = [x.detach().clone().requires_grad_() for x in tensors]
    h = mlstm(*leaves, form=form)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(h.shape, generator=generator, dtype=torch.float64)
    gradients = torch.autograd.grad((h * weights.to(h)).sum(), leaves)
    return {'h': h.detach(), **dict(zip(NAMES, gradients, strict=True))}


@cache
def loop(length, extreme, dtype, computed):
    """Result and gradients of the loop on inputs rounded to `dtype`, in the dtype `computed`."""
    tensors = inputs(length, extreme=extreme, dtype=dtype)
    return both([x.to(computed) for x in tensors], 'reference')


def shares(got, wanted):
    """Largest error of each tensor as a share of its largest value."""
    found = {}
    for name, target in wanted.items():
        assert got[name].shape == target.shape
        error = (got[name].double() - target.double()).abs().max()
        found[name] = float(error / target.abs().max().clamp(min=1e-12))
    return found


@pytest.mark.parametrize('length', LENGTHS)
@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
def test_forms_agree_with_the_loop(form, length, dtype):
    tensors = inputs(length, dtype=dtype)
    exact = loop(length, False, dtype, torch.float64)
    own = shares(
        loop(length, False, dtype, dtype), exact
    )  # float32: how far the loop itself is off
    for name, share in shares(both(tensors, form), exact).items():
        assert share <= max(TOLERANCE[dtype], 4 * own[name]), f'{name}: {share:.1e}'


@pytest.mark.parametrize('length', LENGTHS)
@pytest.mark.parametrize('form', FORMS)
def test_forms_agree_at_extreme_gates(form, length):
    """Gates at +-30: sums cancel there, and in float32 the loop itself is off; no form is worse."""
    exact = loop(length, True, torch.float64, torch.float64)
    found = both(inputs(length, extreme=True), form)
    rounded = both(inputs(length, extreme=True, dtype=torch.float32), form)
    target = loop(length, True, torch.float32, torch.float64)
    own = shares(loop(length, True, torch.float32, torch.float32), target)
    for name, value in rounded.items():
        assert torch.isfinite(value).all(), name
    if length > 1:  # of one step q and k have no gradient to speak of: h is v or nothing
        for name, share in shares(found, exact).items():
            assert share <= TOLERANCE[torch.float64], f'{name}: {share:.1e}'
        for name, share in shares(rounded, target).items():
            assert share <= max(TOLERANCE[torch.float32], 4 * own[name]), f'{name}: {share:.1e}'


@pytest.mark.parametrize('form', [*FORMS, 'reference'])
def test_closed_gates_stay_finite(form):
    """Input gates so low that e^-m is beyond float32: nothing comes out, and no NaN."""
    q, k, v, i, f = inputs(70, dtype=torch.float32)
    for name, value in both([q, k, v, i - 500, f - 500], form).items():
        assert torch.isfinite(value).all(), name
        assert name == 'v' or not value.any() or value.abs().max() < 1e-6, name


def test_by_hand():
    """Two steps, all gates 0, width 1, q = k = 1: decay 1/2, weights 1, 1/2."""
    one, gate = torch.ones(1, 1, 2, 1, dtype=torch.float64), torch.zeros(1, 1, 2).double()
    v = torch.tensor([3.0, 6.0], dtype=torch.float64).view(1, 1, 2, 1)
    h = mlstm(one, one, v, gate, gate, eps=0.0).flatten().tolist()
    assert h == pytest.approx([3.0, (3 / 2 + 6) / (1 + 1 / 2)])
    small = mlstm(one / 10, one, v, gate, gate, eps=0.0).flatten().tolist()  # the floor e^-m = 1
    assert small == pytest.approx([0.3, 0.75])


@pytest.mark.parametrize('form', [*FORMS, 'reference'])
def test_gradcheck(form, monkeypatch):
    chunked = importlib.import_module('mamba_kernels.mlstm.chunked')
    monkeypatch.setattr(chunked, 'SHORTEST', 3)
    leaves = [x.requires_grad_() for x in inputs(7, batch=1, width=2)]
    assert torch.autograd.gradcheck(lambda *x: mlstm(*x, form=form), leaves)


@pytest.mark.parametrize('form', FORMS)
def test_nothing_comes_from_the_future(form):
    tensors = inputs(300, dtype=torch.float64)
    part = [x[:, :, :131] for x in tensors]
    found = mlstm(*tensors, form=form)[:, :, :131]
    torch.testing.assert_close(found, mlstm(*part, form=form), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('form', FORMS)
def test_compiles_as_one_graph(form):
    tensors = inputs(100, dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(lambda *x: mlstm(*x, form=form), fullgraph=True, backend='aot_eager')
    found = []
    for call in (compiled, lambda *x: mlstm(*x, form=form)):
        leaves = [x.clone().requires_grad_() for x in tensors]
        h = call(*leaves)
        found.append((h, *torch.autograd.grad(h.square().sum(), leaves)))
    for value, target in zip(*found, strict=True):
        torch.testing.assert_close(value, target, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_half_data_has_single_states_with_and_without_autocast(form, dtype):
    tensors = inputs(90, dtype=dtype)
    plain = mlstm(*tensors, form=form)
    assert plain.dtype == dtype
    with torch.autocast('cpu', dtype=dtype):
        assert torch.equal(mlstm(*tensors, form=form), plain)
    exact = mlstm(*(x.double() for x in tensors), form='reference')
    error = (plain.double() - exact).abs().max() / exact.abs().max()
    assert error <= 1.1 * torch.finfo(dtype).eps / 2


def test_memory_grows_with_the_length():
    """What the chunked form keeps for the backward pass doubles with the length; parallel's not."""

    def kept(form, length):
        sizes = {}
        leaves = [x.requires_grad_() for x in inputs(length, dtype=torch.float32)]
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.update({x.data_ptr(): x.numel()}), lambda x: x
        ):
            mlstm(*leaves, form=form)
        return sum(sizes.values())

    assert kept('chunked', 1024) / kept('chunked', 512) == pytest.approx(2, rel=0.05)
    assert kept('parallel', 1024) / kept('parallel', 512) > 3.5
    assert kept('chunked', 1024) < kept('parallel', 1024) / 4


@pytest.mark.parametrize('length', [100, 300])
@pytest.mark.parametrize('form', ['parallel', 'chunked', 'reference', None])
def test_flops_are_those_that_torch_counts(form, length):
    with FlopCounterMode(display=False) as counter:
        mlstm(*inputs(length), form=form)
    assert counter.get_total_flops() == mlstm_flops(2, 2, length, 8, form)


def test_the_form_follows_the_length():
    assert 'mlstm: parallel serves' in mamba_kernels.explain('mlstm', *inputs(256))
    assert 'mlstm: chunked serves' in mamba_kernels.explain('mlstm', *inputs(257))
    assert 'reference' in mamba_kernels.explain('mlstm')


def test_refusals():
    q, k, v, i, f = inputs(5)
    with pytest.raises(ValueError, match="form='fast'.*known: parallel, chunked, reference"):
        mlstm(q, k, v, i, f, form='fast')
    with pytest.raises(ValueError, match=r'k has shape \(2, 2, 4, 8\); needed: .*length=5'):
        mlstm(q, k[:, :, 1:], v, i, f)
    with pytest.raises(ValueError, match=r'f has shape \(2, 2, 5, 1\)'):
        mlstm(q, k, v, i, f.unsqueeze(-1))
    with pytest.raises(TypeError, match='v is torch.int64'):
        mlstm(q, k, v.long(), i, f)
