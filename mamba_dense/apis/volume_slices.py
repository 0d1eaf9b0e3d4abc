"""Volumes through networks of pictures: one slice after the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from ..medical.slices import default_axis, picture, plane
from ..medical.volume import Volume, VolumeError
from .inferencer import infer


def infer_slices(
    model: nn.Module,
    volume: Volume,
    *,
    axis: int | None = None,
    value_range: Sequence[float] | None = None,
    mirror: bool = False,
    on_part: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Mask of a volume by a segmentation network of pictures.

    Args:
        model: from `init_model`. Its config may say `slices = dict(axis=..., range=(low, high))`,
            the axis across the slices it was trained on and the intensities that became 0 and 255.
        volume: of one channel, or as many as the network takes.
        axis: 0, 1 or 2, across the slices; None is the config's, else that of the largest spacing.
        value_range: darkest and brightest value; None is the config's, else 0 to 255.
        mirror: average the probabilities over the slice mirrored along rows, columns and both.
        on_part: called after each slice with how many are done and how many there are.

    Returns:
        (X, Y, Z) uint8.

    Raises:
        VolumeError: there are values outside 0 to 255 and no range says what they mean.
    """
    known: Mapping[str, Any] = model.cfg.get('slices') or {}
    axis = known.get('axis') if axis is None else axis
    axis = default_axis(volume.spacing) if axis is None else axis
    limits = value_range or known.get('range') or _bytes_range(volume)
    labels = np.zeros(volume.data.shape[1:], np.uint8)
    planes = np.moveaxis(labels, axis, 0)
    for index in range(len(planes)):
        pixels = picture(volume.data, axis, index)  # (H, W, C)
        planes[index] = plane(infer(model, pixels, value_range=limits, mirror=mirror).mask)
        if on_part is not None:
            on_part(index + 1, len(planes))
    return labels


def _bytes_range(volume: Volume) -> tuple[float, float]:
    low, high = float(volume.data.min()), float(volume.data.max())
    if low < 0 or high > 255:
        raise VolumeError(
            f'{volume.path}: has values from {low:g} to {high:g}; allowed are 0 to 255 where '
            'nothing says what they mean to a network of pictures. Give the range it was trained '
            'with, such as --range -125 275 for CT, or write slices = dict(range=(low, high)) in '
            'its config.'
        )
    return 0.0, 255.0
