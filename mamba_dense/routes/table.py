"""RouteTable: the token orders of one grid, their inverse and coverage; by shape, cached.

A table is a small key (who builds it, for which grid); its numbers are built on first use and kept
in a cache of `CACHED_TABLES` tables, least recently used out first, each with its copies on other
devices. Under `torch.compile` the grid is taken as fixed and the table comes from an operator of
the graph: another grid compiles again, and nothing breaks the graph.
"""

import importlib
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from numbers import Integral

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

CACHED_TABLES = 64
MAX_TOKENS = 2**31 - 1  # int32

# rows of a learned table of directions, in PlainMamba's order
START, RIGHT, LEFT, UP, DOWN = range(5)

Build = Callable[..., np.ndarray]


def check_order(order: np.ndarray, grid: tuple[int, ...], name: str) -> np.ndarray:
    """`order` as contiguous int32 (K, S); every route has distinct tokens of `grid`."""
    length = math.prod(grid)
    order = np.asarray(order)
    if order.ndim != 2 or order.dtype.kind not in 'iu':
        raise ValueError(
            f'routes={name!r} gave {order.dtype} of shape {order.shape} for grid={grid}; '
            'an integer array (routes, steps) is needed.'
        )
    if order.size and (order.min() < 0 or order.max() >= length):
        raise ValueError(
            f'routes={name!r} visits tokens {order.min()}..{order.max()} of grid={grid}; '
            f'allowed are 0..{length - 1}.'
        )
    for k, route in enumerate(order):
        visits = np.bincount(route, minlength=length)
        if visits.size and visits.max() > 1:
            raise ValueError(
                f'routes={name!r} visits token {visits.argmax()} of grid={grid} '
                f'{visits.max()} times on route {k}; the tokens of one route must be distinct.'
            )
    return np.array(order, dtype=np.int32, order='C')  # a copy: no strange strides, no owner


def check_grid(grid: Sequence[int], name: str) -> tuple[int, ...]:
    """`grid` as a tuple of positive integers; sizes that are being traced become constants."""
    if torch.compiler.is_compiling():
        return tuple([operator.index(size) for size in grid])
    if not isinstance(grid, Sequence) or not all(isinstance(size, Integral) for size in grid):
        raise TypeError(f'grid={grid!r} of routes={name!r} must be a tuple of integers: (H, W).')
    grid = tuple(int(size) for size in grid)
    if not grid or min(grid) < 1:
        raise ValueError(f'grid={grid} has no tokens: routes={name!r} need sides of at least 1.')
    if math.prod(grid) > MAX_TOKENS:
        raise ValueError(
            f'grid={grid} has {math.prod(grid)} tokens; routes={name!r} number at most '
            f'{MAX_TOKENS} (int32): cut the map into tiles.'
        )
    return grid


def _inverse(order: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Step at which each route visits each token, -1 where it does not; (K, L)."""
    inverse = np.full((len(order), math.prod(grid)), -1, dtype=np.int32)
    np.put_along_axis(inverse, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return inverse


def _coverage(order: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Number of visits to each token, over all routes; (L,)."""
    return np.bincount(order.ravel(), minlength=math.prod(grid)).astype(np.int32)


def _moves(order: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Direction of the move that leads to each step, START at step 0; (K, S)."""
    if len(grid) != 2:
        raise ValueError(f'grid={grid} has rank {len(grid)}: directions exist on (H, W) only.')
    i, j = np.divmod(order, grid[1])
    down, right = np.diff(i, axis=1), np.diff(j, axis=1)  # (K, S - 1)
    if (abs(down) + abs(right) != 1).any():
        raise ValueError(
            f'a route over grid={grid} jumps, so its moves have no direction; '
            'directions exist for routes that step to neighbours, such as snake.'
        )
    moves = np.full(order.shape, START, dtype=np.int32)
    moves[:, 1:] = np.select([right == 1, right == -1, down == -1], [RIGHT, LEFT, UP], DOWN)
    return moves


_DERIVED = {'inverse': _inverse, 'coverage': _coverage, 'moves': _moves}


class _Numbers:
    """The numbers behind one table, on every device that asked for them."""

    def __init__(self, name: str, build: Build, options: tuple, grid: tuple[int, ...]):
        self.grid = check_grid(grid, name)
        self.order = check_order(build(grid, *options), grid, name)
        self.tensors: dict[tuple[str, torch.device], Tensor] = {}

    def on(self, field: str, device: torch.device) -> Tensor:
        key = field, device
        if key not in self.tensors:
            derive = _DERIVED.get(field)
            values = self.order if derive is None else derive(self.order, self.grid)
            # not an inference tensor nor a fake one, whoever asks first: others will use it too
            with _disable_current_modes(), torch.inference_mode(False):
                self.tensors[key] = torch.from_numpy(values).to(device)
        return self.tensors[key]


@lru_cache(maxsize=CACHED_TABLES)
def _numbers(name: str, build: Build, options: tuple, grid: tuple[int, ...]) -> _Numbers:
    return _Numbers(name, build, options, grid)


@torch.library.custom_op('mamba_dense::route_table', mutates_args=())
def _table_of_graph(
    field: str, name: str, builder: str, options: list[int], grid: list[int], device: torch.device
) -> Tensor:
    """A table within a compiled graph, which wants a tensor of its own from every call."""
    return _numbers(name, _found(builder), tuple(options), tuple(grid)).on(field, device).clone()


@_table_of_graph.register_fake
def _(field, name, builder, options, grid, device):
    numbers = _numbers(name, _found(builder), tuple(options), tuple(grid))
    shape = numbers.on(field, torch.device('cpu')).shape
    return torch.empty(shape, dtype=torch.int32, device=device)


@cache
def _found(builder: str) -> Build:
    module, name = builder.split(':')
    return getattr(importlib.import_module(module), name)


@torch.compiler.assume_constant_result
def _path(build: Build) -> str:
    """Where a builder stands, as text that a graph can hold."""
    if '.' in build.__qualname__:
        raise ValueError(
            f'builder {build.__qualname__} of routes must be a plain function of a module.'
        )
    return f'{build.__module__}:{build.__qualname__}'


@dataclass(frozen=True)
class RouteTable:
    """K routes of S steps over a grid of L tokens; tokens are raster indices (last axis fastest).

    The tensors are shared by everyone who asks for the same table: read them only.

    Args:
        name: what the routes are called in errors.
        build: plain function of the grid (and of `options`, in order) -> integers (K, S).
        options: further arguments of `build`.
        grid: sizes of the axes, such as (H, W).
    """

    name: str
    build: Build
    options: tuple
    grid: tuple[int, ...]

    @classmethod
    def of(cls, name: str, build: Build, options: tuple, grid: Sequence[int]) -> 'RouteTable':
        """The table for `grid`, built and checked at once unless it is being traced."""
        table = cls(name, build, options, check_grid(grid, name))
        if not torch.compiler.is_compiling():
            _numbers(name, build, options, table.grid)
        return table

    def _get(self, field: str, device: torch.device | str) -> Tensor:
        device = torch.device(device)
        if torch.compiler.is_dynamo_compiling():
            grid, options = list(self.grid), list(self.options)
            return _table_of_graph(field, self.name, _path(self.build), options, grid, device)
        numbers = _numbers(self.name, self.build, self.options, self.grid)
        return numbers.on(field, device)

    @property
    def order(self) -> Tensor:
        """The token at each step of each route, int32 (K, S), on the CPU."""
        return self._get('order', 'cpu')

    @property
    def inverse(self) -> Tensor:
        """The step at which each route visits each token, -1 for never; int32 (K, L), CPU."""
        return self._get('inverse', 'cpu')

    @property
    def coverage(self) -> Tensor:
        """How often each token is visited over all routes; int32 (L,), CPU."""
        return self._get('coverage', 'cpu')

    def on(self, device: torch.device | str) -> Tensor:
        """`order` on `device`: what a scan takes."""
        return self._get('order', device)

    def inverse_on(self, device: torch.device | str) -> Tensor:
        """`inverse` on `device`: puts routed results back, route by route."""
        return self._get('inverse', device)

    def moves_on(self, device: torch.device | str) -> Tensor:
        """START, RIGHT, LEFT, UP or DOWN: the move to each step; int32 (K, S); no jumps allowed."""
        return self._get('moves', device)
