"""How deep a U-Net goes and along which axes, from spacing and patch: nnU-Net's rules as functions.

Isensee et al., Nature Methods 18, 203 (2021), supplement; written from the paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LEAST_EDGE = 4  # no axis is pooled below
_SIMILAR = 2  # factor below which two spacings count as alike
_ANISOTROPIC = 3  # factor from which one axis is treated apart
_RARE = 10  # percentile of the spacing along such an axis
VOLUME = {2: 2048**2, 3: 256**3}  # voxels of the patch that reducing starts from


@dataclass(frozen=True)
class Topology:
    """Stages of a U-Net, finest first, an entry for each axis.

    Attributes:
        patch: sides, padded so that every pooling halves them exactly.
        strides: of the first block of each stage; that of the first is 1.
        kernels: of each stage.
    """

    patch: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def divisors(self) -> tuple[int, ...]:
        """What each side of a patch is a multiple of."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> tuple[float, ...]:
    """The spacing that all cases are resampled to, in mm along X, Y, Z.

    The median along each axis; where one axis has a spacing more than 3 times the others' and
    fewer voxels by the same factor, its 10th percentile, but not below the others'.

    Args:
        spacings: of each case in mm.
        shapes: voxels of each case.
    """
    table = np.asarray(spacings, float)
    target, size = np.median(table, axis=0), np.median(np.asarray(shapes, float), axis=0)
    worst = int(target.argmax())
    others = [axis for axis in range(len(target)) if axis != worst]
    if (
        target[worst] > _ANISOTROPIC * target[others].max()
        and size[worst] * _ANISOTROPIC < size[others].min()
    ):
        rare = np.percentile(table[:, worst], _RARE)
        target[worst] = max(rare, target[others].max())
    return tuple(float(length) for length in target)


def axis_order(spacing: Sequence[float]) -> tuple[int, int, int]:
    """The axes with that of the largest spacing first, the others as they were."""
    first = int(np.argmax(spacing))
    return (first, *(axis for axis in range(3) if axis != first))


def first_patch(spacing: Sequence[float], median: Sequence[int]) -> tuple[int, ...]:
    """A patch as wide in mm along every axis, clipped to the median size of a case.

    Args:
        spacing: two or three lengths in mm.
        median: voxels along the same axes.
    """
    inverse = 1 / np.asarray(spacing, float)
    scale = (VOLUME[len(inverse)] / inverse.prod()) ** (1 / len(inverse))
    return tuple(
        min(round(side * scale), math.ceil(most))
        for side, most in zip(inverse, median, strict=True)
    )


def topology(spacing: Sequence[float], patch: Sequence[int]) -> Topology:
    """Pool every axis that is long enough and whose spacing is less than twice the smallest one's.

    An axis needs 8 places to be pooled, 12 if it is the only one. The kernel of an axis is 1 until
    its spacing is within a factor 2 of the smallest, then 3.
    """
    spacing, size = list(spacing), list(patch)
    axes = range(len(size))
    strides, kernels = [(1,) * len(size)], []
    while True:
        kernels.append(tuple(3 if spacing[n] < _SIMILAR * min(spacing) else 1 for n in axes))
        long = [n for n in axes if size[n] >= 2 * _LEAST_EDGE]
        finest = min((spacing[n] for n in long), default=0.0)
        pooled = [n for n in long if spacing[n] < _SIMILAR * finest]
        if not pooled or (len(pooled) == 1 and size[pooled[0]] < 3 * _LEAST_EDGE):
            break
        steps = tuple(2 if n in pooled else 1 for n in axes)
        strides.append(steps)
        spacing = [length * step for length, step in zip(spacing, steps, strict=True)]
        size = [math.ceil(side / step) for side, step in zip(size, steps, strict=True)]
    kernels[-1] = (3,) * len(size)
    return padded(patch, strides, kernels)


def even_topology(patch: Sequence[int], poolings: int) -> Topology:
    """Every axis pooled so often, kernels of 3, whatever the spacing."""
    one, two, three = ((number,) * len(patch) for number in (1, 2, 3))
    return padded(patch, [one, *[two] * poolings], [three] * (poolings + 1))


def padded(
    patch: Sequence[int], strides: Sequence[tuple[int, ...]], kernels: Sequence[tuple[int, ...]]
) -> Topology:
    """A topology whose patch is the next larger one that every pooling halves exactly."""
    steps = [math.prod(column) for column in zip(*strides, strict=True)]
    sides = tuple(math.ceil(side / step) * step for side, step in zip(patch, steps, strict=True))
    return Topology(sides, tuple(strides), tuple(kernels))
