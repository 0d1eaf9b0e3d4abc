"""Orders along the axes of a grid of any rank: raster, transpose, reverse. int32, one route each.

A route lists raster indices (last axis fastest) in the order in which they are visited.
"""

import math

import numpy as np


def raster(grid: tuple[int, ...]) -> np.ndarray:
    """Last axis fastest: token t at step t; (L,)."""
    return np.arange(math.prod(grid), dtype=np.int32)


def transpose(grid: tuple[int, ...], axes: tuple[int, ...] | None = None) -> np.ndarray:
    """Raster order of the grid with its axes permuted (reversed where `axes` is None); (L,).

    On (H, W) that is column-major: step t visits (t mod H, t div H).
    """
    return raster(grid).reshape(grid).transpose(axes).ravel()


def reverse(route: np.ndarray) -> np.ndarray:
    """The same tokens, last one first."""
    return route[..., ::-1]


def rows(grid: tuple[int, ...]) -> np.ndarray:
    """Every line along the last axis is a route of its own; (L / W, W)."""
    return raster(grid).reshape(-1, grid[-1])


def columns(grid: tuple[int, ...]) -> np.ndarray:
    """Every line along the first axis is a route of its own; (L / H, H)."""
    return raster(grid).reshape(grid[0], -1).T
