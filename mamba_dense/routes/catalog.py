"""ROUTES: every set of token orders the library knows, by name.

A row names a builder, which gives the tokens of (K routes, S steps) for a grid, and states what
holds for them. The builders' docstrings give source and formula; (H, W) is a map, (T, H, W) are T
dates of one, L the number of tokens; "reversed" means the same route walked from its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .atrous import quarters
from .diagonal import wrapped_diagonal, zigzag, zigzag_mirrored
from .grid import columns, raster, reverse, rows, transpose
from .shuffle import shuffle
from .snake import snake_columns, snake_rows
from .spiral import spiral, spiral_mirrored
from .table import Build, RouteTable, check_grid
from .temporal import interleaved, side_by_side


def _pairs(*routes: np.ndarray) -> np.ndarray:
    """Each route followed by its reverse: r0, r0 reversed, r1, r1 reversed, ..."""
    return np.stack([walk for route in routes for walk in (route, reverse(route))])


def _then_reversed(*routes: np.ndarray) -> np.ndarray:
    """All routes, then all of them reversed: r0, r1, ..., r0 reversed, r1 reversed, ..."""
    return np.stack([*routes, *map(reverse, routes)])


def forward(grid: tuple[int, ...]) -> np.ndarray:
    """Raster order, any rank: Mamba (arXiv 2312.00752), RSMamba's first path."""
    return raster(grid)[None]


def backward(grid: tuple[int, ...]) -> np.ndarray:
    """Raster order reversed, any rank: RSMamba's second path (arXiv 2403.19654)."""
    return reverse(raster(grid))[None]


def bidirectional(grid: tuple[int, ...]) -> np.ndarray:
    """Raster, raster reversed, any rank: Vim (arXiv 2401.09417), its class token one of L."""
    return _pairs(raster(grid))


def one_way(grid: tuple[int, ...]) -> np.ndarray:
    """Raster four times: VMamba's one-way ablation (arXiv 2401.10166, `v051d`)."""
    return np.stack([raster(grid)] * 4)


def two_way(grid: tuple[int, ...]) -> np.ndarray:
    """Raster twice, then raster reversed twice: VMamba's two-way ablation (`v052d`)."""
    return _then_reversed(raster(grid), raster(grid))


def cross(grid: tuple[int, int]) -> np.ndarray:
    """Rows (t div W, t mod W), columns (t mod H, t div H), both reversed: VMamba's cross scan."""
    return _then_reversed(raster(grid), transpose(grid))


def raster_pairs(grid: tuple[int, int]) -> np.ndarray:
    """Rows, rows reversed, columns, columns reversed: MHS-VM's pattern Z (arXiv 2406.05992)."""
    return _pairs(raster(grid), transpose(grid))


def snake(grid: tuple[int, int]) -> np.ndarray:
    """Serpentine rows, reversed, serpentine columns, reversed: PlainMamba (arXiv 2403.17695).

    Also MHS-VM's pattern C. `RouteTable.moves_on` gives PlainMamba's directions.
    """
    return _pairs(snake_rows(grid), snake_columns(grid))


def zigzag_pairs(grid: tuple[int, int]) -> np.ndarray:
    """Zig-zag of anti-diagonals, reversed, its left-right mirror, reversed: MHS-VM's pattern X."""
    return _pairs(zigzag(grid), zigzag_mirrored(grid))


def spiral_pairs(grid: tuple[int, int]) -> np.ndarray:
    """Inward spiral, reversed, its top-bottom mirror, reversed: MHS-VM's pattern S."""
    return _pairs(spiral(grid), spiral_mirrored(grid))


def mhs_vm(grid: tuple[int, int]) -> np.ndarray:
    """MHS-VM's eight base routes: C0 C1 (serpentine), X0 X1 (zig-zag), S0 S1 (spiral), Z0 Z1.

    A head walks its two routes both ways: r0, r0 reversed, r1, r1 reversed; that is `snake` for
    pattern C, `zigzag` for X, `spiral` for S, `raster` for Z.
    """
    starts = snake_rows, snake_columns, zigzag, zigzag_mirrored, spiral, spiral_mirrored
    return np.stack([route(grid) for route in (*starts, raster, transpose)])


def omnidirectional(grid: tuple[int, int]) -> np.ndarray:
    """FER-YOLO-Mamba's eight routes (arXiv 2405.01828): cross, then two wrapped diagonals likewise.

    Diagonals: with i = t mod H, j = t div H, route 4 visits (i, (i + j) mod W) and route 5
    (i, (j - i) mod W); 6 and 7 are their reverses.
    """
    diagonals = wrapped_diagonal(grid, 1), wrapped_diagonal(grid, -1)
    return np.concatenate([cross(grid), _then_reversed(*diagonals)])


def dates_sequential(grid: tuple[int, int, int]) -> np.ndarray:
    """Cross scan of the dates of (T, H, W) side by side, (H, T * W): ChangeMamba (2404.03425)."""
    joint = side_by_side(grid)
    return _then_reversed(joint.ravel(), joint.T.ravel())


def dates_interleaved(grid: tuple[int, int, int]) -> np.ndarray:
    """Cross scan of the dates of (T, H, W) with columns in turn, (H, W * T): ChangeMamba."""
    joint = interleaved(grid)
    return _then_reversed(joint.ravel(), joint.T.ravel())


def copies_in_turn(grid: tuple[int, int, int]) -> np.ndarray:
    """One walk through all copies of a map, (T, H, W): MSVMamba's low branch (arXiv 2405.14174).

    The copies are walked one after the other without a break, by turns along rows reversed,
    columns, columns reversed and rows; MSVMamba has the first three.
    """
    T, *side = grid
    ways = cross((side[0], side[1]))[[2, 1, 3, 0]]
    size = side[0] * side[1]
    return np.concatenate([ways[t % 4] + t * size for t in range(T)])[None]


def forward_reverse_shuffle(grid: tuple[int, ...], seed: int) -> np.ndarray:
    """Raster, reversed, a permutation drawn from `seed`, any rank: RSMamba (arXiv 2403.19654)."""
    return np.stack([raster(grid), reverse(raster(grid)), shuffle(grid, seed)])


@dataclass(frozen=True)
class RouteSet:
    """One row of the catalog.

    Args:
        build: grid (and options, in order) -> tokens (K, S); its docstring says what and whence.
        visits: how often each token is visited over all routes.
        num_routes: K; None where it depends on the grid.
        rank: rank of the grid; None for any.
        continuous: whether every step goes to a neighbour on the grid.
        options: names and defaults of the further arguments of `build`.
    """

    build: Build
    visits: int
    num_routes: int | None
    rank: int | None = 2
    continuous: bool = False
    options: tuple[tuple[str, int], ...] = ()


ROUTES = {
    'forward': RouteSet(forward, 1, 1, rank=None),
    'backward': RouteSet(backward, 1, 1, rank=None),
    'bidirectional': RouteSet(bidirectional, 2, 2, rank=None),
    'one-way': RouteSet(one_way, 4, 4, rank=None),
    'two-way': RouteSet(two_way, 4, 4, rank=None),
    'cross': RouteSet(cross, 4, 4),
    # VMamba's cascade ablation (`v052dc`): each row a route, then each column one
    'rows': RouteSet(rows, 1, None),
    'columns': RouteSet(columns, 1, None),
    'raster': RouteSet(raster_pairs, 4, 4),
    'snake': RouteSet(snake, 4, 4, continuous=True),
    'zigzag': RouteSet(zigzag_pairs, 4, 4),
    'spiral': RouteSet(spiral_pairs, 4, 4, continuous=True),
    'mhs-vm': RouteSet(mhs_vm, 8, 8),
    # EfficientVMamba (arXiv 2403.09977): quarters, so each token is visited once in all
    'atrous': RouteSet(quarters, 1, 4),
    'omnidirectional': RouteSet(omnidirectional, 8, 8),
    # ChangeMamba: two dates stacked on the channels of one map
    'dates-parallel': RouteSet(cross, 4, 4),
    'dates-sequential': RouteSet(dates_sequential, 4, 4, rank=3),
    'dates-interleaved': RouteSet(dates_interleaved, 4, 4, rank=3),
    'copies-in-turn': RouteSet(copies_in_turn, 1, 1, rank=3),
    'forward-reverse-shuffle': RouteSet(
        forward_reverse_shuffle, 3, 3, rank=None, options=(('seed', 0),)
    ),
}


def find(spec: str | Mapping) -> tuple[str, RouteSet, tuple[int, ...]]:
    """Name, row and option values of `spec`, a name or a mapping with `name` and options."""
    given = {'name': spec} if isinstance(spec, str) else dict(spec)
    name = given.pop('name', None)
    row = ROUTES.get(name) if isinstance(name, str) else None
    if row is None:
        raise ValueError(f'routes={name!r} is not known; known: {", ".join(ROUTES)}.')
    values = tuple([given.pop(option, default) for option, default in row.options])
    if not all([isinstance(value, int) for value in values]):
        raise TypeError(f'options {values} of routes={name!r} must be integers.')
    if given:
        known = ', '.join([option for option, _ in row.options]) or 'none'
        raise ValueError(f'routes={name!r} has no option {", ".join(given)}; its options: {known}.')
    return name, row, values


def routes(spec: str | Mapping, grid: Sequence[int]) -> RouteTable:
    """The routes called `spec` over `grid`.

    Args:
        spec: a name of `ROUTES`, or a mapping such as
            `{'name': 'forward-reverse-shuffle', 'seed': 7}`.
        grid: sizes of the axes: (H, W), (L,), (T, H, W), ...

    Raises:
        ValueError: unknown name or option, or a grid on which these routes do not exist.
        TypeError: a size or an option is no integer.

    >>> routes('cross', (2, 3)).order.tolist()[:2]
    [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5]]
    """
    name, row, options = find(spec)
    grid = check_grid(grid, name)
    if row.rank is not None and len(grid) != row.rank:
        raise ValueError(f'grid={grid} has rank {len(grid)}; routes={name!r} need rank {row.rank}.')
    return RouteTable.of(name, row.build, options, grid)
