"""Skip sampling: the grid split into quarters of every other row and column, one route each."""

import numpy as np

from .grid import raster


def quarters(grid: tuple[int, int]) -> np.ndarray:
    """Quarters of an even grid, alternately row-major and column-major; (4, L / 4).

    Route 0 visits (2a, 2b) and route 2 (2a, 2b + 1) with b fastest; route 1 visits (2a + 1, 2b)
    and route 3 (2a + 1, 2b + 1) with a fastest.
    """
    H, W = grid
    if H % 2 or W % 2:
        raise ValueError(
            f'grid={grid} cannot be split in quarters: both sides must be even; '
            f'pad the map to {(H + H % 2, W + W % 2)} first.'
        )
    tokens = raster(grid).reshape(grid)
    parts = [tokens[0::2, 0::2], tokens[1::2, 0::2].T, tokens[0::2, 1::2], tokens[1::2, 1::2].T]
    return np.stack([part.ravel() for part in parts])
