"""Routes cut into chunks: when the launch table does it, and that it changes no result."""

import pytest
import torch

from mamba_kernels.checks import CHECKPOINT
from mamba_kernels.route_scan import triton_gpu as routed_backend
from mamba_kernels.selective_scan import triton_gpu as selective_backend
from mamba_kernels.triton_launch import Scan, unavailable

from .cases import CUDA, GRADIENT, OUTPUT, compare, routed, selective

DEVICE = 'cuda' if CUDA else 'cpu'
STEPS = 2 * CHECKPOINT + 2  # two tiles and a bit: three chunks

runs = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


def scan_of(batch, dim, tokens, state, rank=6, routes=4, chunks=None):
    """The operands of a launch without their data."""

    def meta(*shape):
        return torch.empty(shape, device='meta')

    return Scan(
        x=meta(batch, tokens, dim),
        params=meta(batch, tokens, routes, rank + 2 * state),
        A=meta(routes, state, dim),
        bias=meta(routes, dim),
        D=meta(routes, dim),
        weight=meta(routes, rank, dim),
        chunks=chunks,
    )


@pytest.mark.parametrize(
    ('sizes', 'block', 'grid'),
    [
        pytest.param((8, 192, 56**2, 16), 32, (192, 7), id='few-programs'),
        pytest.param((8, 192, 56**2, 1), 64, (96, 13), id='few-programs-of-64-channels'),
        pytest.param((16, 256, 56**2, 16), 32, (512, 3), id='nearly-enough-programs'),
        pytest.param((128, 192, 56**2, 16), 32, (3072, 1), id='programs-abound'),
        pytest.param((128, 96, 56**2, 1, 3), 64, (1024, 1), id='programs-abound-for-one-state'),
        pytest.param((1, 192, 512**2, 1, 3), 128, (8, 187), id='one-large-image'),
        pytest.param((2, 768, 14**2, 1, 0), 32, (192, 2), id='short-routes'),
        pytest.param((1, 192, 1, 16), 32, (24, 1), id='one-step'),
        pytest.param((0, 192, 49, 16), 32, (0, 1), id='empty-batch'),
        pytest.param((1, 8, 49, 64), 8, (4, 1), id='many-states'),
        pytest.param((1, 1, 49, 1, 1), 8, (4, 1), id='one-channel'),
        pytest.param((1, 192, 512**2, 1, 16), 32, (24, 63), id='a-large-rank'),
    ],
)
def test_the_launch_table(sizes, block, grid):
    scan = scan_of(*sizes)
    assert scan.block() == block
    assert scan.grid() == grid


@pytest.mark.parametrize('batch', [1, 2, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize('tokens', [1, 49, 127, 196, 784, 3136, 65536])
@pytest.mark.parametrize('state', [1, 5, 16, 64])
def test_chunks_are_whole_tiles_and_made_only_where_programs_lack(batch, tokens, state):
    scan = scan_of(batch, 96, tokens, state)
    programs, chunks = scan.grid()
    launch = scan.launch
    assert scan.span() % CHECKPOINT == 0 and scan.span() >= launch.shortest
    assert (chunks - 1) * scan.span() < tokens <= chunks * scan.span()
    if programs >= launch.parallel:
        assert chunks == 1
    else:
        assert programs * (chunks - 1) < launch.fill


def test_chunks_by_force():
    assert scan_of(1, 8, STEPS, 1, chunks=3).grid() == (4, 3)
    assert scan_of(1, 8, STEPS, 1, chunks=1).grid() == (4, 1)
    assert scan_of(1, 8, STEPS, 1, chunks=99).grid() == (4, 3)  # of one tile at least


def check_states(chunked, whole):
    """The saved states have the same form however the route was cut, and the same values."""
    compare({'states': chunked}, {'states': whole}, OUTPUT)


@runs
@pytest.mark.usefixtures('nan_filled_empty')
def test_route_scan_in_chunks():
    table = torch.randperm(STEPS)[None].int()
    case = routed((1, STEPS), batch=1, dim=3, state=2, rank=2, routes=table)
    weights = {'out': torch.randint(-16, 17, (1, STEPS, 3)) / 8}
    case = case.to(torch.float32).to(torch.float64)
    results, gradients = case.run_both('reference', weights)
    table, dy = table.to(DEVICE), weights['out'].to(DEVICE)
    operands = (*case.to(torch.float32, DEVICE).tensors.values(), table)
    y, states = routed_backend.forward(*operands, torch.float32, True, chunks=3)
    compare({'out': y}, results, OUTPUT)
    check_states(states, routed_backend.forward(*operands, torch.float32, True, chunks=1)[1])
    got = routed_backend.backward(dy, *operands, states, chunks=3)
    compare(dict(zip(gradients, got, strict=True)), gradients, GRADIENT)


@runs
@pytest.mark.usefixtures('nan_filled_empty')
def test_selective_scan_in_chunks():
    """Step sizes as they are, and a gradient of the last state that runs through every chunk."""
    case = selective(STEPS, batch=1, dim=3, state=2, full=False)
    weights = {'out': torch.randint(-16, 17, (1, 3, STEPS)) / 8, 'last_state': torch.ones(1, 3, 2)}
    case = case.to(torch.float32).to(torch.float64)
    results, gradients = case.run_both('reference', weights)
    tensors = case.to(torch.float32, DEVICE).tensors
    operands = (*list(tensors.values())[:5], None, None, False)
    y, last, states = selective_backend.forward(*operands, torch.float32, True, chunks=2)
    compare({'out': y, 'last_state': last}, results, OUTPUT)
    arriving = [weights[name].to(DEVICE) for name in ('out', 'last_state')]
    got = selective_backend.backward(*arriving, *operands, states, chunks=3)[:5]
    compare(dict(zip(gradients, got, strict=True)), gradients, GRADIENT)
