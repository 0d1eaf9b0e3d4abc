"""Seeded random orders: the same seed gives the same order on every machine."""

import zlib

import numpy as np

from .grid import raster

MAX_SEED = 2**32


def shuffle(grid: tuple[int, ...], seed: int) -> np.ndarray:
    """A permutation of the tokens by numpy's frozen `RandomState` stream; (L,)."""
    if not 0 <= seed < MAX_SEED:
        raise ValueError(f'seed={seed} is out of range; allowed are 0..{MAX_SEED - 1}.')
    return np.random.RandomState(seed).permutation(raster(grid))


def layer_seed(layer: int) -> int:
    """The seed of layer `layer` (from 0), so that layers differ and runs agree."""
    return zlib.crc32(f'shuffle.{layer}'.encode()) & 0x7FFFFFFF
