"""What every row of the catalog promises, on ordinary, odd, rectangular and one-row grids."""

import time

import pytest
import torch

from mamba_dense.routes import ROUTES, catalog, routes

GRIDS = {
    None: [(1,), (7,), (1, 7), (7, 1), (5, 3), (4, 6), (13, 9), (2, 3, 4)],
    2: [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (4, 6), (13, 9)],
    3: [(1, 2, 3), (2, 1, 1), (2, 1, 5), (2, 5, 1), (2, 5, 3), (3, 4, 6)],
}
EVEN = [(2, 2), (2, 8), (8, 2), (4, 6), (10, 4)]
LARGE = {None: (512, 512), 2: (512, 512), 3: (2, 512, 256)}


def grids(name):
    return EVEN if name == 'atrous' else GRIDS[ROUTES[name].rank]


CASES = [pytest.param(n, g, id=f'{n}-{"x".join(map(str, g))}') for n in ROUTES for g in grids(n)]
NAMES = pytest.mark.parametrize('name', ROUTES)


@pytest.mark.parametrize(('name', 'grid'), CASES)
def test_every_token_is_visited_equally_often_and_once_per_route(name, grid):
    table = routes(name, grid)
    K, S = table.order.shape
    L = torch.Size(grid).numel()
    assert table.order.dtype == table.inverse.dtype == table.coverage.dtype == torch.int32
    assert table.order.is_contiguous()
    assert ROUTES[name].num_routes in (None, K)
    assert K * S == ROUTES[name].visits * L
    assert table.coverage.shape == (L,)
    assert (table.coverage == ROUTES[name].visits).all()
    assert (table.order.sort(dim=1).values.diff(dim=1) > 0).all()


@pytest.mark.parametrize(('name', 'grid'), CASES)
def test_inverse_undoes_order(name, grid):
    table = routes(name, grid)
    order, inverse = table.order.long(), table.inverse.long()
    K, S = order.shape
    assert inverse.shape == (K, torch.Size(grid).numel())
    assert (inverse.gather(1, order) == torch.arange(S)).all()
    assert ((inverse >= 0).sum(1) == S).all()
    assert (inverse >= -1).all()


@pytest.mark.parametrize(
    ('name', 'grid'), [case for case in CASES if ROUTES[case.values[0]].continuous]
)
def test_continuous_routes_step_to_a_neighbour(name, grid):
    order = routes(name, grid).order
    i, j = order // grid[1], order % grid[1]
    assert (i.diff(dim=1).abs() + j.diff(dim=1).abs() == 1).all()


@NAMES
def test_routes_differ_in_nothing_from_one_build_to_the_next(name):
    row, grid = ROUTES[name], grids(name)[-1]
    options = [default for _, default in row.options]
    first, second = row.build(grid, *options), row.build(grid, *options)
    assert first is not second
    assert (first == second).all()


@NAMES
def test_a_large_grid_is_built_in_well_under_a_second(name):
    row = ROUTES[name]
    options = [default for _, default in row.options]
    started = time.perf_counter()
    row.build(LARGE[row.rank], *options)
    assert time.perf_counter() - started < 1


@NAMES
def test_every_row_says_what_it_is_and_whence(name):
    assert len(ROUTES[name].build.__doc__ or '') > 40


@pytest.mark.parametrize(
    ('name', 'grid', 'order'),
    [
        ('one-way', (2, 2), [[0, 1, 2, 3]] * 4),
        ('two-way', (1, 3), [[0, 1, 2], [0, 1, 2], [2, 1, 0], [2, 1, 0]]),
        ('bidirectional', (3,), [[0, 1, 2], [2, 1, 0]]),
        (
            'cross',
            (2, 3),
            [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]],
        ),
        ('rows', (2, 3), [[0, 1, 2], [3, 4, 5]]),
        ('columns', (2, 3), [[0, 3], [1, 4], [2, 5]]),
        (
            'copies-in-turn',
            (3, 2, 3),
            [[5, 4, 3, 2, 1, 0, 6, 9, 7, 10, 8, 11, 17, 14, 16, 13, 15, 12]],
        ),
        ('atrous', (2, 4), [[0, 2], [4, 6], [1, 3], [5, 7]]),
        ('atrous', (4, 2), [[0, 4], [2, 6], [1, 5], [3, 7]]),
    ],
)
def test_small_tables_read_as_the_sources_say(name, grid, order):
    assert routes(name, grid).order.tolist() == order


def test_transpose_takes_any_axes_of_a_volume():
    volume = torch.arange(24).view(2, 3, 4)
    for axes in (None, (0, 2, 1), (1, 2, 0)):
        order = torch.from_numpy(catalog.transpose((2, 3, 4), axes).copy())
        expected = volume.permute(axes or (2, 1, 0)).reshape(-1)
        assert (order == expected).all()


@pytest.mark.parametrize('dates', [2, 3])
def test_joint_pictures_of_dates_are_scanned_as_one_picture(dates):
    """ChangeMamba builds the joint picture and cross-scans it; the table reads the same tokens."""
    tokens = torch.arange(dates * 5 * 3).view(dates, 5, 3)
    side_by_side = torch.cat(list(tokens), dim=1)
    interleaved = torch.empty(5, 3 * dates, dtype=torch.int64)
    for d in range(dates):
        interleaved[:, d::dates] = tokens[d]
    cross = routes('cross', (5, 3 * dates)).order.long()
    for name, picture in (('dates-sequential', side_by_side), ('dates-interleaved', interleaved)):
        order = routes(name, (dates, 5, 3)).order
        assert (order == picture.flatten()[cross]).all()
    assert (routes('dates-parallel', (5, 3)).order == routes('cross', (5, 3)).order).all()


def test_options_are_data():
    one, other = ({'name': 'forward-reverse-shuffle', 'seed': seed} for seed in (1, 2))
    assert (routes(one, (40,)).order[:2] == routes(other, (40,)).order[:2]).all()
    assert (routes(one, (40,)).order[2] != routes(other, (40,)).order[2]).any()
    assert one == {'name': 'forward-reverse-shuffle', 'seed': 1}


@pytest.mark.parametrize(
    ('error', 'spec', 'grid', 'words'),
    [
        (ValueError, 'crosss', (2, 2), "'crosss' is not known; known: forward, "),
        (ValueError, {'seed': 1}, (2, 2), 'routes=None is not known'),
        (ValueError, {'name': 'cross', 'size': 1}, (2, 2), 'no option size; its options: none'),
        (ValueError, {'name': 'forward-reverse-shuffle', 'sed': 1}, (4,), 'its options: seed'),
        (ValueError, {'name': 'forward-reverse-shuffle', 'seed': -1}, (4,), 'seed=-1'),
        (TypeError, {'name': 'forward-reverse-shuffle', 'seed': [1]}, (4,), 'must be integers'),
        (ValueError, 'cross', (2, 2, 2), r'grid=\(2, 2, 2\) has rank 3.*need rank 2'),
        (ValueError, 'dates-sequential', (2, 2), 'need rank 3'),
        (ValueError, 'cross', (0, 4), r'grid=\(0, 4\) has no tokens'),
        (ValueError, 'forward', (), 'has no tokens'),
        (ValueError, 'forward', (2**16, 2**15), 'cut the map into tiles'),
        (TypeError, 'cross', (2.0, 4), r'grid=\(2\.0, 4\).*tuple of integers'),
        (TypeError, 'forward', 7, 'grid=7.*tuple of integers'),
        (ValueError, 'atrous', (5, 4), r'pad the map to \(6, 4\) first'),
    ],
)
def test_a_wrong_call_is_told_what_is_allowed(error, spec, grid, words):
    with pytest.raises(error, match=words):
        routes(spec, grid)
