"""A smooth random gain, as that of a scanner's coils varies over an image or a volume."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from scipy import ndimage

from mamba_dense.registry import TRANSFORMS


def smooth_gain(
    shape: Sequence[int],
    *,
    strength: float,
    cell: float,
    draw: Callable[[Sequence[int]], np.ndarray],
) -> np.ndarray:
    """A positive field of any rank, float32: its logarithm is Gaussian at knots, cubic between.

    Args:
        shape: of the field.
        strength: standard deviation of the logarithm at the knots.
        cell: pixels or voxels between two knots; an axis has two knots or more.
        draw: standard normal values of a shape, as `np.random.standard_normal`.
    """
    knots = [max(2, round(side / cell) + 1) for side in shape]
    field = strength * draw(knots)
    factors = [side / count for side, count in zip(shape, knots, strict=True)]
    return np.exp(ndimage.zoom(field, factors, order=3, mode='nearest')).astype(np.float32)


def check_gain(strength: float, cell: float) -> None:
    """Raise ValueError unless both are above 0."""
    if strength <= 0 or cell <= 0:
        raise ValueError(f'strength={strength} and cell={cell} must be above 0.')


@TRANSFORMS.register_module()
class RandSmoothGaind(RandomizableTransform, MapTransform):
    """Multiply by a smooth random field (`smooth_gain`), with MONAI's dictionaries.

    MONAI's RandBiasFieldd draws a polynomial, its RandSmoothFieldAdjustIntensityd evenly
    distributed knots; both multiply the normalised values, where 0 is not the scanner's 0.

    Args:
        keys: images (C, *S), multiplied by one field.
        prob: chance that anything happens.
        strength, cell: see `smooth_gain`.
        zero: the value that the preparation gave to the scanner's 0 (-mean / std), which stays.
        allow_missing_keys: see MONAI's MapTransform.

    Raises:
        ValueError: `strength` or `cell` is not positive.

    >>> gain = RandSmoothGaind('image', prob=1.0, zero=-2.0).set_random_state(0)
    >>> found = gain({'image': np.full((1, 8, 8, 8), -2.0, np.float32)})['image']
    >>> float(found.min()), float(found.max())
    (-2.0, -2.0)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        prob: float = 0.1,
        strength: float = 0.1,
        cell: float = 24.0,
        zero: float = 0.0,
        allow_missing_keys: bool = False,
    ):
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        check_gain(strength, cell)
        self.strength = strength
        self.cell = cell
        self.zero = zero

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with its images (C, *S) multiplied."""
        found = dict(data)
        self.randomize(None)
        first = self.first_key(found)
        if not self._do_transform or first == ():
            return found
        shape = found[first].shape[1:]
        draw = self.R.standard_normal
        gain = smooth_gain(shape, strength=self.strength, cell=self.cell, draw=draw)
        for key in self.key_iterator(found):
            found[key] = (found[key] - self.zero) * gain + self.zero
        return found
