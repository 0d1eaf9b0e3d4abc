"""Pictures larger than the network's memory: overlapping tiles, blended, finished band by band.

Pure functions on arrays. Tiles run row by row, and a band of rows is handed out as soon as no
further tile touches it, so what is held are the scores of one row of tiles, not of the picture.
"""

from collections.abc import Callable, Iterator

import numpy as np

# weight of a tile's border pixel relative to its centre
_EDGE = 1e-3


def tile_starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Where tiles start so that they cover `length` and overlap by at least `overlap`.

    The tiles are spread evenly; the last one ends where the picture ends. A picture shorter than
    a tile gets one start, 0.

    >>> tile_starts(10, 4, 1)
    (0, 3, 6)

    Raises:
        ValueError: `length` or `tile` is below one, or `overlap` is not within 0 and tile - 1.
    """
    if length < 1 or tile < 1:
        raise ValueError(f'length={length} and tile={tile} must be at least 1.')
    if not 0 <= overlap < tile:
        raise ValueError(f'overlap={overlap} must be from 0 to tile - 1 = {tile - 1}.')
    if length <= tile:
        return (0,)
    count = -(-(length - overlap) // (tile - overlap))
    return tuple(i * (length - tile) // (count - 1) for i in range(count))


def blend_weights(height: int, width: int) -> np.ndarray:
    """Weights (height, width) of a tile's scores: a Gaussian of one eighth of each side."""

    def bell(length: int) -> np.ndarray:
        away = (np.arange(length) - (length - 1) / 2) / (length / 8)
        return np.maximum(np.exp(-0.5 * away**2), _EDGE)

    return np.outer(bell(height), bell(width)).astype(np.float32)


def count_tiles(shape: tuple[int, ...], tile: int, overlap: int) -> int:
    """How many tiles a picture of `shape` (H, W, ...) takes."""
    return len(tile_starts(shape[0], tile, overlap)) * len(tile_starts(shape[1], tile, overlap))


def predict_bands(
    image: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    tile: int,
    overlap: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Scores of a whole picture, band by band from the top.

    Args:
        image: (H, W) or (H, W, channels); may be mapped from a file, it is read tile by tile.
        predict: from a tile (h, w[, channels]) to its scores (classes, h, w).
        tile: side of the square tiles.
        overlap: least number of pixels that neighbouring tiles share.

    Yields:
        First row of the band, and its scores (classes, rows, W) float32: the mean of the tiles'
        scores, weighted by `blend_weights`. The bands follow each other and cover the picture.

    Raises:
        ValueError: as in `tile_starts`, or `predict` returns another size than its tile.
    """
    height, width = image.shape[:2]
    tops, lefts = (tile_starts(n, tile, overlap) for n in (height, width))
    rows, columns = min(tile, height), min(tile, width)
    weights = blend_weights(rows, columns)
    total: np.ndarray | None = None  # (classes, rows, W)
    share = np.zeros((rows, width), np.float32)
    for top, next_top in zip(tops, (*tops[1:], height), strict=True):
        for left in lefts:
            part = image[top : top + rows, left : left + columns]
            scores = predict(part)  # (classes, rows, columns)
            if scores.shape[1:] != (rows, columns):
                raise ValueError(
                    f'predict returned scores {scores.shape} for a tile of {rows}x{columns}; '
                    'they must be (classes, height, width) of the tile.'
                )
            if total is None:
                total = np.zeros((scores.shape[0], rows, width), np.float32)
            total[:, :, left : left + columns] += scores * weights
            share[:, left : left + columns] += weights
        done = next_top - top
        yield top, total[:, :done] / share[:done]
        total[:, : rows - done] = total[:, done:].copy()
        total[:, rows - done :] = 0
        share[: rows - done] = share[done:].copy()
        share[rows - done :] = 0
