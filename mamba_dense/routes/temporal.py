"""Several dates as one picture: which token of (T, H, W) stands where in the joint picture."""

import numpy as np

from .grid import raster


def side_by_side(grid: tuple[int, int, int]) -> np.ndarray:
    """Dates in a row: (i, d * W + j) of the joint picture is token (d, i, j); (H, T * W)."""
    T, H, W = grid
    return raster(grid).reshape(grid).transpose(1, 0, 2).reshape(H, T * W)


def interleaved(grid: tuple[int, int, int]) -> np.ndarray:
    """Columns taken in turn: (i, j * T + d) of the joint picture is token (d, i, j); (H, W * T)."""
    T, H, W = grid
    return raster(grid).reshape(grid).transpose(1, 2, 0).reshape(H, W * T)
