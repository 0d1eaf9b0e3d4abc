"""Serpentine (boustrophedon) orders: every other line is walked backwards, so no step jumps."""

import numpy as np

from .grid import raster, transpose


def snake_rows(grid: tuple[int, int]) -> np.ndarray:
    """Rows from the top, even ones left to right, odd ones right to left; (L,)."""
    lines = raster(grid).reshape(grid)  # (H, W)
    lines[1::2] = lines[1::2, ::-1].copy()
    return lines.ravel()


def snake_columns(grid: tuple[int, int]) -> np.ndarray:
    """Columns from the left, even ones downwards, odd ones upwards; (L,)."""
    H, W = grid
    lines = transpose(grid).reshape(W, H)
    lines[1::2] = lines[1::2, ::-1].copy()
    return lines.ravel()
