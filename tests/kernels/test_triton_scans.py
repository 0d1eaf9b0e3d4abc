"""The Triton kernels against the float64 reference: in the interpreter here, at sizes it bears."""

import subprocess
import sys

import pytest
import torch

from mamba_kernels.checks import CHECKPOINT
from mamba_kernels.route_scan import triton_gpu as routed_backend
from mamba_kernels.selective_scan import triton_gpu as selective_backend
from mamba_kernels.triton_launch import unavailable

from .cases import CUDA, GRADIENT, Case, compare, routed, selective, weights_of
from .cases import check as check_backend

DEVICE = 'cuda' if CUDA else 'cpu'
HALF = (torch.bfloat16, torch.float16)

pytestmark = [
    pytest.mark.usefixtures('nan_filled_empty'),
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
]


def check(case, dtype=torch.float32):
    check_backend(case, 'triton', dtype, DEVICE)


@pytest.mark.parametrize('length', [1, 17, 63])
def test_selective_scan(length):
    check(selective(length, batch=2 if length < 17 else 1))


@pytest.mark.parametrize('length', [1, 17, pytest.param(63, marks=pytest.mark.full)])
def test_route_scan_both_ways(length):
    check(routed((1, length), batch=1, routes='bidirectional'))


@pytest.mark.full
def test_route_scan_over_a_grid_in_two_tiles():
    check(routed((5, 13), batch=1))


def test_columns_of_a_grid_in_two_tiles():
    columns = torch.arange(65).view(5, 13).t().flatten()
    check(routed((5, 13), batch=1, routes=columns[None].int()))


@pytest.mark.parametrize('length', [pytest.param(64, marks=pytest.mark.full), 65])
def test_exactly_one_tile_and_one_step_more(length):
    check(selective(length, batch=1, dim=3))


@pytest.mark.parametrize(
    ('dim', 'state', 'rank'),
    [(1, 1, 1), (37, 16, 6), (3, 64, 16), (5, 2, 17), (3, 33, 64), (70, 1, 2)],
)
def test_odd_widths_states_and_ranks(dim, state, rank):
    """Ranks above 16 leave the step sizes to a matrix product."""
    check(routed((1, 3), batch=1, dim=dim, state=state, rank=rank, routes='bidirectional'))
    check(selective(3, batch=1, dim=dim, state=state))


@pytest.mark.parametrize('form', ['grouped', 'shared', 'constant', 'plain'])
def test_forms_of_the_selective_scan(form):
    case = selective(
        4,
        batch=1,
        dim=6,
        groups=3 if form == 'grouped' else 1,
        form=form if form in ('shared', 'constant') else 'grouped',
        full=form != 'plain',
    )
    check(case)


@pytest.mark.parametrize('rank', [3, 20])
def test_routes_that_leave_tokens_out(rank):
    table = torch.stack([torch.randperm(12)[:5] for _ in range(3)]).int()
    check(routed((3, 4), batch=1, rank=rank, routes=table))


def test_tokens_on_no_route_get_zero():
    case = routed((2, 4), routes=torch.tensor([[3, 1]], dtype=torch.int32))
    y = case.to(torch.float32, DEVICE).run('triton')['out']
    assert y[:, [0, 2, 4, 5, 6, 7]].eq(0).all()
    assert y[:, [1, 3]].ne(0).all()


@pytest.mark.parametrize('dtype', HALF, ids=['bfloat16', 'float16'])
def test_half_precision(dtype):
    check(selective(5, batch=1), dtype)
    check(routed((2, 2), batch=1, routes='bidirectional'), dtype)


@pytest.mark.parametrize('size', [-100.0, -30.0, -8.0, 19.5, 30.0])
def test_extreme_step_sizes(size):
    """The softplus stays accurate where it is tiny; -100 underflows to nothing but the skip."""
    case = routed((1, 4), batch=1, routes='bidirectional')
    case.tensors['dt_bias'] = torch.full_like(case.tensors['dt_bias'], size)
    if size < -80:
        weights = weights_of(case)
        got, gradients = case.to(torch.float32, DEVICE).run_both('triton', weights)
        exact, exact_gradients = case.run_both('reference', weights)
        compare(got, exact, GRADIENT)
        compare({'x': gradients['x']}, {'x': exact_gradients['x']}, GRADIENT)
        assert all(gradient.isfinite().all() for gradient in gradients.values())
    else:
        check(case)


def test_no_decay():
    case = selective(9)
    case.tensors['A'].zero_()
    check(case)


def test_large_inputs_stay_finite_in_half_precision():
    case = routed((1, 6), batch=1, routes='bidirectional').to(torch.bfloat16, DEVICE)
    case.tensors['x'] *= 30
    case.tensors['params'] *= 30
    results, gradients = case.run_both('triton', {'out': torch.ones(1, 6, 13)})
    for name, tensor in {**results, **gradients}.items():
        assert tensor.isfinite().all(), name


def test_inputs_of_any_strides():
    case = routed((1, 3), routes='forward').to(torch.float32, DEVICE)
    strided = {name: torch.stack((t, t), -1)[..., 1] for name, t in case.tensors.items()}
    strided['x'] = case.tensors['x'][:1].expand(2, -1, -1)
    case.tensors['x'] = strided['x'].clone()
    weights = weights_of(case)
    plain, gradients = case.run_both('triton', weights)
    got, got_gradients = Case('route_scan', strided, case.options).run_both('triton', weights)
    compare(got, plain, {torch.float32: 0})
    compare(got_gradients, gradients, {torch.float32: 0})


@pytest.mark.parametrize(
    'make', [lambda b: selective(5, batch=b), lambda b: routed((2, 3), batch=b)]
)
def test_an_empty_batch(make):
    case = make(0).to(torch.float32, DEVICE)
    results, gradients = case.run_both('triton', {'out': torch.tensor(1.0)})
    assert results['out'].shape[0] == 0
    for name, gradient in gradients.items():
        assert gradient.shape == case.tensors[name].shape
        assert gradient.eq(0).all(), name


def test_the_same_bits_twice():
    case = routed((2, 3), batch=1, routes='bidirectional').to(torch.float32, DEVICE)
    weights = weights_of(case)
    first, second = (case.run_both('triton', weights) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for name in one:
            assert one[name].equal(other[name]), name


def test_states_start_every_tile():
    """What the forward kernel saves is the state that a scan of the first tile ends in."""
    case = selective(CHECKPOINT + 2, batch=1, dim=4, state=3, full=False).to(torch.float32, DEVICE)
    u, delta, A, B, C = list(case.tensors.values())[:5]

    def forward(length):
        operands = [t[..., :length] for t in (u, delta)] + [A] + [t[..., :length] for t in (B, C)]
        return selective_backend.forward(*operands, None, None, False, torch.float32, True)

    states = forward(CHECKPOINT + 2)[2]  # (1, 2, state, dim)
    assert states.shape == (1, 2, 3, 4)
    assert states[:, 0].eq(0).all()
    assert states[:, 1].equal(forward(CHECKPOINT)[1].transpose(1, 2))


def test_no_states_unless_asked_for():
    case = routed((2, 2)).to(torch.float32, DEVICE)
    table = torch.arange(4, dtype=torch.int32, device=DEVICE).expand(4, 4)
    operands = (*case.tensors.values(), table, torch.float32)
    assert routed_backend.forward(*operands, False)[1].numel() == 0
    assert routed_backend.forward(*operands, True)[1].shape == (2, 4, 1, 5, 13)


def test_double_precision_is_refused():
    reason = routed_backend.unsupported(torch.zeros(2, dtype=torch.float64, device=DEVICE))
    assert 'float64' in reason
    assert routed_backend.unsupported(torch.zeros(2, device=DEVICE), None) is None


def test_the_package_imports_where_triton_is_missing():
    program = (
        "import sys; sys.modules['triton'] = None; "
        'from mamba_kernels.route_scan import triton_gpu; print(triton_gpu.unavailable())'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert 'not installed' in done.stdout, done.stderr


def test_why_the_kernels_cannot_run(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setenv('TRITON_INTERPRET', '0')
    assert 'CUDA' in unavailable()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert 'not installed' in unavailable()
