"""Inward spirals: the outer ring clockwise, then the next."""

import numpy as np

from .grid import raster


def spiral(grid: tuple[int, int]) -> np.ndarray:
    """Clockwise from the top left corner to the middle; (L,).

    A ring r of height h and width w starts at step H*W - h*w: top row, right column, bottom row
    and left column, each without its last cell. A ring of one row is read left to right, one
    of one column top to bottom.
    """
    H, W = grid
    tokens = raster(grid)
    i, j = np.divmod(tokens, W)
    ring = np.minimum(np.minimum(i, j), np.minimum(H - 1 - i, W - 1 - j))
    h, w = H - 2 * ring, W - 2 * ring
    y, x = i - ring, j - ring  # inside the ring's own frame
    place = np.select(
        [(h == 1) | ((y == 0) & (x < w - 1)), (w == 1) | ((x == w - 1) & (y < h - 1)), y == h - 1],
        [x, w - 1 + y, 2 * (w - 1) + h - 1 - x],
        2 * (w - 1) + 2 * (h - 1) - y,
    )
    order = np.empty_like(tokens)
    order[H * W - h * w + place] = tokens
    return order


def spiral_mirrored(grid: tuple[int, int]) -> np.ndarray:
    """The spiral mirrored top-bottom: counter-clockwise from the bottom left corner; (L,)."""
    i, j = np.divmod(spiral(grid), grid[1])
    return (grid[0] - 1 - i) * np.int32(grid[1]) + j
