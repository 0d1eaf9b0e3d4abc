"""Synthetic weights and inputs, each a function of its name and shape alone.

Whoever builds a network under the same parameter names holds the same weights, with no checkpoint
in between. The streams are numpy's MT19937 generator, whose output stays the same across versions.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np


def _stream(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)


def _fan_in(leaf: str, shape: tuple[int, ...]) -> int:
    """Inputs of one output: all axes but the first; the last one of a stack of matrices."""
    stacked = len(shape) == 3 and leaf.endswith('_weight')
    return max(shape[-1] if stacked else math.prod(shape[1:]), 1)


def fill(name: str, shape: Sequence[int]) -> np.ndarray:
    """The float64 value of the tensor `name` (a key of the authors' state dict) of this shape."""
    shape = tuple(int(size) for size in shape)
    stream = _stream(name)
    normal = stream.standard_normal(math.prod(shape)).reshape(shape)
    leaf = name.rpartition('.')[2]
    if leaf == 'num_batches_tracked':
        return np.zeros(shape)
    if leaf == 'running_var':
        return 0.5 + stream.random_sample(math.prod(shape)).reshape(shape)
    if leaf == 'running_mean':
        return 0.1 * normal
    if leaf.startswith('A') and 'log' in leaf:
        states = shape[-1] if shape else 1
        return np.log(1.0 + np.arange(states)) + 0.1 * normal
    if leaf in ('D', 'Ds', 'D_b'):
        return 1.0 + 0.1 * normal
    if leaf in ('dt_projs_bias', 'dt_bias') or (leaf == 'bias' and 'dt_proj' in name):
        return -3.0 + 0.5 * normal
    if leaf.endswith('bias'):
        return 0.1 * normal
    if len(shape) <= 1:
        return 1.0 + 0.1 * normal
    return normal / math.sqrt(_fan_in(leaf, shape))


def image(name: str, shape: Sequence[int]) -> np.ndarray:
    """A float64 input of this shape: waves along every axis, plus noise; the name seeds it."""
    shape = tuple(int(size) for size in shape)
    value = 0.5 * _stream(f'input:{name}').standard_normal(math.prod(shape)).reshape(shape)
    for axis, size in enumerate(shape):
        along = [1] * len(shape)
        along[axis] = size
        value = value + np.sin(0.37 * (axis + 1) * np.arange(size) + axis).reshape(along)
    return value / math.sqrt(len(shape))
