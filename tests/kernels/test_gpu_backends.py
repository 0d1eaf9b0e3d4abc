"""The Triton backend on a real GPU: every dtype, odd sizes, long routes, compile, autocast."""

import pytest
import torch

import mamba_kernels
from mamba_kernels import dispatch, route_scan, selective_scan

from .cases import GRADIENT, OUTPUT, Case, check, compare, routed, selective, weights_of

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('nan_filled_empty')]
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CUDA = 'cuda'


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('length', [1, 63, 64, 123, 1000])
def test_selective_scan(length, dtype):
    check(selective(length), 'triton', dtype, CUDA)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('grid', [(1, 7), (13, 9), (57, 43)], ids=str)
def test_route_scan(grid, dtype):
    check(routed(grid, dim=100 if grid[0] == 57 else 13), 'triton', dtype, CUDA)


@pytest.mark.parametrize('state', [1, 2, 5, 8, 16, 33, 64])  # each pair is compiled
@pytest.mark.parametrize('rank', [1, 6, 16, 17])
def test_states_and_ranks(state, rank):
    check(routed((7, 11), dim=37, state=state, rank=rank), 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('dim', [1, 3, 31, 64, 65, 200])
def test_widths(dim):
    check(routed((7, 11), dim=dim), 'triton', torch.float32, CUDA)
    check(selective(71, dim=dim), 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('rank', [3, 6])
def test_wide_blocks_of_channels(rank):
    """So many programs that each takes 64 or 128 channels."""
    check(routed((3, 5), batch=300, dim=70, state=1, rank=rank), 'triton', torch.float32, CUDA)
    check(routed((3, 5), batch=210, dim=130, state=1, rank=rank), 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('state', [1, 16])
def test_routes_in_chunks(state):
    """Few programs and long routes, which the launch table cuts."""
    check(routed((30, 70), batch=1, dim=64, state=state), 'triton', torch.float32, CUDA)
    check(selective(1500, batch=1, dim=64, state=state), 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('rank', [3, 20])
def test_routes_that_leave_tokens_out(rank):
    table = torch.stack([torch.randperm(500)[:333] for _ in range(3)]).int()
    check(routed((25, 20), rank=rank, routes=table), 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('size', [-30.0, 30.0])
def test_extreme_step_sizes(size):
    case = routed((7, 10))
    case.tensors['dt_bias'] = torch.full_like(case.tensors['dt_bias'], size)
    check(case, 'triton', torch.float32, CUDA)


@pytest.mark.parametrize('op', dispatch.OPS)
def test_the_same_bits_twice(op):
    case = selective(500, dim=200) if op == 'selective_scan' else routed((20, 25), dim=200)
    case = case.to(torch.bfloat16, CUDA)
    weights = weights_of(case)
    first, second = (case.run_both('triton', weights) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for name in one:
            assert one[name].equal(other[name]), name


def test_chosen_by_itself_on_cuda():
    case = routed((3, 4)).to(torch.float32, CUDA)
    assert 'triton serves' in mamba_kernels.explain('route_scan', *case.tensors.values())
    assert case.run(None)['out'].equal(case.run('triton')['out'])


@pytest.mark.parametrize('engine', ['aot_eager', 'inductor'])
def test_compiled_without_a_break(engine):
    case = routed((7, 11)).to(torch.float32, CUDA)
    weights = weights_of(case)
    plain, gradients = case.run_both('triton', weights)
    leaves = [tensor.requires_grad_() for tensor in case.tensors.values()]

    def call(*tensors):
        out = route_scan(*tensors, ('cross', (7, 11)), backend='triton')
        return (out * weights['out'].to(out)).sum()

    torch._dynamo.reset()
    total = torch.compile(call, fullgraph=True, backend=engine)(*leaves)
    got = dict(zip(gradients, torch.autograd.grad(total, leaves), strict=True))
    compare(got, gradients, GRADIENT)
    assert plain['out'].isfinite().all()


def test_autocast_leaves_dtypes_alone():
    case = routed((3, 4)).to(torch.bfloat16, CUDA)
    plain = case.run('triton')['out']
    with torch.autocast(CUDA, torch.bfloat16):
        cast = case.run('triton')['out']
    assert cast.dtype == torch.bfloat16
    assert cast.equal(plain)


def test_large_inputs_train_in_half_precision():
    case = routed((14, 14), dim=64).to(torch.bfloat16, CUDA)
    case.tensors['x'] *= 30
    results, gradients = case.run_both('triton', {'out': torch.ones(2, 196, 64)})
    for name, tensor in {**results, **gradients}.items():
        assert tensor.isfinite().all(), name


def test_inputs_of_any_strides():
    case = selective(71).to(torch.float32, CUDA)
    strided = {name: torch.stack((t, t), -1)[..., 1] for name, t in case.tensors.items()}
    weights = weights_of(case)
    plain, gradients = case.run_both('triton', weights)
    got, got_gradients = Case(case.op, strided, case.options).run_both('triton', weights)
    compare(got, plain, OUTPUT)
    compare(got_gradients, gradients, GRADIENT)


def test_agrees_with_the_chunked_backend_on_a_long_sequence():
    case = selective(20000, batch=1, dim=40, state=16).to(torch.float32, CUDA)
    weights = {'out': torch.ones(1, 40, 20000)}
    exact = case.to(torch.float64, CUDA).run_both('chunked', weights)
    got = case.run_both('triton', weights)
    for one, other in zip(got, exact, strict=True):
        compare(one, other, GRADIENT)


def test_more_elements_than_32_bits_count():
    """Offsets beyond 2^31: the last image of a batch equals the same image alone."""
    batch, dim, length = 3, 1024, 2**20  # 3.2e9 elements of half precision, 6 GiB a tensor
    if torch.cuda.mem_get_info()[0] < 60 * 2**30:
        pytest.skip('needs 60 GiB of free GPU memory')
    u = torch.randn(batch, length, dim, device=CUDA, dtype=torch.bfloat16).transpose(1, 2)
    B = torch.randn(batch, 1, 1, length, device=CUDA, dtype=torch.bfloat16)
    A = -torch.rand(dim, 1, device=CUDA) - 0.1

    def scan(part):
        with torch.no_grad():
            rows = (u[part], u[part])
            return selective_scan(*rows, A, B[part], B[part], delta_softplus=True, backend='triton')

    assert scan(slice(0, 3))[2:].equal(scan(slice(2, 3)))
