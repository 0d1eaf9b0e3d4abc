"""What every registered backend promises: the reference's results and gradients, all of them."""

import pytest
import torch

from mamba_kernels import dispatch
from mamba_kernels.selective_scan import chunked

from .cases import (
    FAST,
    GRADIENT,
    OUTPUT,
    Case,
    check,
    compare,
    require,
    routed,
    selective,
    weights_of,
)

BACKENDS = pytest.mark.parametrize('backend', FAST)
OPS = pytest.mark.parametrize('op', dispatch.OPS)
LENGTHS = (1, 63, 123, 1000)
GRIDS = ((1, 7), (13, 9), (9, 1))

pytestmark = pytest.mark.usefixtures('nan_filled_empty')


def small(op, *, batch=2, dim=13):
    """A case of two tiles."""
    if op == 'selective_scan':
        return selective(71, batch=batch, dim=dim)
    return routed((7, 11), batch=batch, dim=dim)


def dtypes(backend):
    return (torch.float32, torch.float64) if backend == 'chunked' else (torch.float32,)


@BACKENDS
@pytest.mark.parametrize('length', LENGTHS)
def test_selective_scan_of_every_length(backend, length):
    for dtype in dtypes(backend):
        check(selective(length), backend, dtype)


@BACKENDS
@pytest.mark.parametrize('grid', GRIDS, ids=lambda grid: 'x'.join(map(str, grid)))
def test_route_scan_of_every_grid(backend, grid):
    for dtype in dtypes(backend):
        check(routed(grid), backend, dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=['float32', 'float64'])
def test_chunks_in_step_as_on_other_devices(dtype, monkeypatch):
    """The chunked backend's other path, which a CPU does not take by itself."""
    monkeypatch.setattr(chunked, 'IN_TURN', ())
    for length in LENGTHS:
        check(selective(length), 'chunked', dtype)
    for grid in GRIDS:
        check(routed(grid), 'chunked', dtype)


@BACKENDS
def test_route_scan_of_a_thousand_tokens(backend):
    check(routed((25, 40), batch=1, routes='bidirectional'), backend, torch.float32)


@BACKENDS
@pytest.mark.parametrize('form', ['grouped', 'shared', 'constant', 'plain'])
def test_selective_scan_of_every_form(backend, form):
    """Groups; one B and C; constant ones; without skip, gate, bias and softplus."""
    case = selective(
        70,
        dim=12,
        groups=3 if form == 'grouped' else 1,
        form=form if form in ('shared', 'constant') else 'grouped',
        full=form != 'plain',
    )
    check(case, backend, torch.float32)


@BACKENDS
@pytest.mark.parametrize('constant', ['B', 'C'])
def test_one_constant_matrix_beside_a_grouped_one(backend, constant):
    case = selective(9, dim=6, state=3, groups=2)
    case.tensors[constant] = torch.randn(6, 3, dtype=torch.float64)
    check(case, backend, torch.float32)


@BACKENDS
def test_groups_of_b_and_c_that_do_not_divide_each_other(backend):
    case = selective(9, dim=12, state=3, groups=2)
    case.tensors['C'] = torch.randn(2, 3, 3, 9, dtype=torch.float64)
    check(case, backend, torch.float32)


@BACKENDS
@pytest.mark.parametrize(
    ('dim', 'state', 'rank'), [(1, 1, 1), (37, 1, 2), (18, 16, 12), (3, 64, 64)]
)
def test_odd_widths_states_and_ranks(backend, dim, state, rank):
    check(selective(7, dim=dim, state=state), backend, torch.float32)
    check(routed((2, 3), dim=dim, state=state, rank=rank), backend, torch.float32)


@BACKENDS
def test_routes_that_leave_tokens_out(backend):
    table = torch.stack([torch.randperm(40)[:23] for _ in range(3)]).int()
    check(routed((5, 8), routes=table), backend, torch.float32)


@BACKENDS
def test_tokens_on_no_route_get_zero(backend):
    require('route_scan', backend)
    case = routed((2, 5), routes=torch.tensor([[3, 1], [1, 7]], dtype=torch.int32))
    y = case.to(torch.float32, require('route_scan', backend)).run(backend)['out']
    assert y[:, [0, 2, 4, 5, 6, 8, 9]].eq(0).all()
    assert y[:, [1, 3, 7]].ne(0).all()


@BACKENDS
@OPS
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=['bfloat16', 'float16'])
def test_half_precision(backend, op, dtype):
    check(small(op), backend, dtype)


@BACKENDS
@OPS
def test_inputs_of_any_strides(backend, op):
    device = require(op, backend)
    case = small(op).to(torch.float32, device)
    strided = {}
    for name, tensor in case.tensors.items():
        wide = tensor.new_zeros(*tensor.shape, 2).transpose(0, tensor.dim() - 1)
        wide.transpose(0, tensor.dim() - 1)[..., 1] = tensor
        strided[name] = wide.transpose(0, tensor.dim() - 1)[..., 1]
        assert tensor.numel() == 1 or not strided[name].is_contiguous()
    weights = weights_of(case)
    plain, gradients = case.run_both(backend, weights)
    got, got_gradients = Case(op, strided, case.options).run_both(backend, weights)
    compare(got, plain, OUTPUT)
    compare(got_gradients, gradients, GRADIENT)


@BACKENDS
@pytest.mark.parametrize('size', [-30.0, 30.0])
def test_extreme_step_sizes(backend, size):
    case = selective(70)
    case.tensors['delta'] = torch.full_like(case.tensors['delta'], size)
    case.tensors['delta_bias'].zero_()  # whose sum with 30 would be rounded
    check(case, backend, torch.float32)
    case = routed((7, 10))
    case.tensors['dt_bias'] = torch.full_like(case.tensors['dt_bias'], size)
    check(case, backend, torch.float32)


@BACKENDS
@OPS
def test_a_scan_that_forgets_nothing(backend, op):
    case = small(op)
    case.tensors['A'] = torch.zeros_like(case.tensors['A'])
    check(case, backend, torch.float32)


@BACKENDS
@OPS
def test_an_empty_batch(backend, op):
    device = require(op, backend)
    case = small(op, batch=0).to(torch.float32, device)
    results, gradients = case.run_both(backend, {'out': torch.zeros(0, 1, 1, device=device)})
    assert not results['out'].numel()
    for name, tensor in case.tensors.items():
        assert gradients[name].shape == tensor.shape, name
        assert gradients[name].eq(0).all(), name


@BACKENDS
@OPS
def test_the_same_bits_again_and_with_two_threads(backend, op):
    device = require(op, backend)
    case = small(op, dim=40).to(torch.float32, device)
    weights = {'out': torch.randn(case.run(backend)['out'].shape, device=device)}
    runs = []
    for threads in (1, 1, 2):
        torch.set_num_threads(threads)
        results, gradients = case.run_both(backend, weights)
        runs.append({**results, **gradients})
    for name, value in runs[0].items():
        assert torch.equal(value, runs[1][name]), f'{name} changes from run to run'
        assert torch.equal(value, runs[2][name]), f'{name} changes with the threads'


@BACKENDS
def test_a_gradient_through_the_last_state_alone(backend):
    device = require('selective_scan', backend)
    case = selective(11)
    case.tensors['z'] = None
    weights = {'last_state': torch.randn(2, 13, 5, dtype=torch.float64)}

    def gradients(case, name):
        leaves = {
            k: v if v is None else v.detach().requires_grad_() for k, v in case.tensors.items()
        }
        results = Case(case.op, leaves, case.options).run(name)
        weighted = results['last_state'] * weights['last_state'].to(results['last_state'])
        kept = {k: leaves[k] for k in ('u', 'delta', 'A', 'B', 'delta_bias')}
        found = torch.autograd.grad(weighted.sum(), list(kept.values()))
        return {f'gradient of {k}': g for k, g in zip(kept, found, strict=True)}

    wanted = gradients(case, 'reference')
    compare(gradients(case.to(torch.float32, device), backend), wanted, GRADIENT)


@BACKENDS
@OPS
def test_inputs_are_left_alone(backend, op):
    device = require(op, backend)
    case = small(op).to(torch.float32, device)
    before = {name: tensor.clone() for name, tensor in case.tensors.items()}
    shape = case.run(backend)['out'].shape
    case.run_both(backend, {'out': torch.ones(shape, device=device)})
    for name, tensor in case.tensors.items():
        assert torch.equal(tensor, before[name]), name
