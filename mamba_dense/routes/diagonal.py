"""Diagonal orders: the zig-zag of anti-diagonals, and diagonals wrapped round the grid."""

import numpy as np

from .grid import raster


def zigzag(grid: tuple[int, int]) -> np.ndarray:
    """Anti-diagonals c = i + j from the top left, i falling on even c, rising on odd; (L,)."""
    i, j = np.divmod(raster(grid), grid[1])
    c = i + j
    return np.lexsort((np.where(c % 2 == 0, -i, i), c)).astype(np.int32)


def zigzag_mirrored(grid: tuple[int, int]) -> np.ndarray:
    """The zig-zag mirrored left-right: from the top right; (L,)."""
    i, j = np.divmod(zigzag(grid), grid[1])
    return i * np.int32(grid[1]) + (grid[1] - 1 - j)


def wrapped_diagonal(grid: tuple[int, int], slope: int) -> np.ndarray:
    """Step t, i = t mod H, j = t div H, visits (i, (j + slope * i) mod W); slope 1 or -1; (L,)."""
    H, W = grid
    j, i = np.divmod(raster(grid), H)
    return i * np.int32(W) + (j + slope * i) % W
