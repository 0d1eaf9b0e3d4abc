"""RouteTable: sharing, devices, foreign builders, inference mode, compile and export."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from mamba_dense.routes import ROUTES, RouteTable, routes
from mamba_dense.routes import table as table_module

SHUFFLE = {'name': 'forward-reverse-shuffle', 'seed': 3}


class Walk(nn.Module):
    """Reads tokens along every route and puts them back, as a mixer does."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        table = routes(self.spec, x.shape[1:3])
        order, inverse = table.on(x.device), table.inverse_on(x.device)
        tokens = (x * self.scale).flatten(1, 2)  # (B, L, C)
        walked = tokens[:, order[-1]].cumsum(1)
        return walked[:, inverse[-1]].view(x.shape)


def test_equal_requests_share_their_tensors():
    first, second = routes('cross', (6, 5)), routes('cross', torch.Size((6, 5)))
    assert first == second
    assert hash(first) == hash(second)
    assert first.order.data_ptr() == second.order.data_ptr()
    assert first.order.data_ptr() != routes('cross', (5, 6)).order.data_ptr()


def test_the_cache_is_bounded_and_an_evicted_table_still_works():
    first = routes('cross', (3, 2))
    expected = first.order.clone()
    for width in range(1, table_module.CACHED_TABLES + 10):
        routes('forward', (1, width))
    information = table_module._numbers.cache_info()
    assert information.currsize <= information.maxsize == table_module.CACHED_TABLES
    assert (first.order == expected).all()


def test_tables_are_frozen_and_can_be_copied_and_pickled():
    table = routes('snake', (3, 4))
    with pytest.raises(AttributeError):
        table.grid = (4, 3)
    assert copy.deepcopy(table) == pickle.loads(pickle.dumps(table)) == table


def test_each_device_has_its_own_copy():
    table = routes('cross', (3, 4))
    assert table.on('cpu') is table.on(torch.device('cpu'))
    assert table.on('meta').device.type == 'meta'
    assert table.on('meta').shape == (4, 12)
    assert table.order.device.type == 'cpu'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_on_a_gpu():
    table = routes('cross', (3, 4))
    assert table.on('cuda').device.type == 'cuda'
    assert (table.on('cuda').cpu() == table.order).all()


def test_a_table_first_asked_for_in_inference_mode_serves_training():
    with torch.inference_mode():
        Walk('cross')(torch.ones(1, 6, 11, 3))
    model = Walk('cross')
    model(torch.ones(1, 6, 11, 3)).sum().backward()
    assert torch.isfinite(model.scale.grad).all()


def test_a_table_first_asked_for_by_a_tracer_holds_real_numbers():
    with FakeTensorMode():
        routes('cross', (6, 12)).on('cpu')
    with torch.device('meta'):
        routes('cross', (6, 13)).on('cpu')
    for width in (12, 13):
        assert routes('cross', (6, width)).order[0].tolist() == list(range(6 * width))


@pytest.mark.parametrize('dynamic', [None, False, True])
@pytest.mark.parametrize('spec', ['cross', 'snake', SHUFFLE], ids=str)
def test_compiles_without_a_break_for_one_grid_after_another(spec, dynamic):
    torch._dynamo.reset()
    model = Walk(spec)
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager', dynamic=dynamic)
    for grid in ((3, 4), (5, 4), (7, 9), (1, 6), (3, 4)):
        x = torch.randn(2, *grid, 3)
        y = compiled(x)
        torch.testing.assert_close(y, model(x))
        y.sum().backward()
    torch._dynamo.reset()


@pytest.mark.parametrize('strict', [False, True])
def test_exports(strict):
    model, x = Walk('cross'), torch.randn(2, 5 + strict, 8, 3)
    program = torch.export.export(model, (x,), strict=strict)
    torch.testing.assert_close(program.module()(x), model(x))


def unequal(grid):
    return np.array([[0, 1], [2, 0]])


def twice(grid):
    return np.array([[0, 1, 1]])


def outside(grid):
    return np.array([[0, 6]])


def flat(grid):
    return np.arange(6)


def test_a_builder_of_ones_own_may_leave_tokens_out():
    table = RouteTable.of('unequal', unequal, (), (2, 3))
    assert table.coverage.tolist() == [2, 1, 1, 0, 0, 0]
    assert table.inverse.tolist() == [[0, 1, -1, -1, -1, -1], [1, -1, 0, -1, -1, -1]]


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (twice, 'visits token 1 of .* 2 times on route 0'),
        (outside, r'visits tokens 0\.\.6 .* allowed are 0\.\.5'),
        (flat, r'shape \(6,\).*\(routes, steps\)'),
    ],
)
def test_a_wrong_builder_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        RouteTable.of('mine', build, (), (2, 3))


@pytest.mark.parametrize('grid', [(1, 1), (1, 7), (7, 1), (3, 4), (4, 5)])
@pytest.mark.parametrize('name', [name for name, row in ROUTES.items() if row.continuous])
def test_moves_lead_along_the_route(name, grid):
    table = routes(name, grid)
    moves = table.moves_on('cpu').long()
    steps = torch.tensor([0, 1, -1, -grid[1], grid[1]])  # start, right, left, up, down
    assert (moves[:, 0] == table_module.START).all()
    assert (moves[:, 1:] != table_module.START).all()
    assert (table.order[:, :1] + steps[moves].cumsum(1) == table.order).all()


@pytest.mark.parametrize(('name', 'grid'), [('cross', (3, 4)), ('forward', (2, 3, 4))])
def test_moves_are_refused_where_a_route_jumps(name, grid):
    with pytest.raises(ValueError, match=r'jumps|rank 3'):
        routes(name, grid).moves_on('cpu')
