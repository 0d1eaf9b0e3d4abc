"""Volumes through networks of pictures: one slice after the other."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from ..medical.slices import default_axis, picture, plane
from ..medical.volume import Volume, VolumeError
from .inferencer import decide, infer


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
        planes[index] = plane(_mask(model, pixels, tuple(limits), mirror))
        if on_part is not None:
            on_part(index + 1, len(planes))
    return labels


def _mask(
    model: nn.Module, pixels: np.ndarray, limits: tuple[float, float], mirror: bool
) -> np.ndarray:
    if not mirror:
        return infer(model, pixels, value_range=limits).mask
    total: np.ndarray | float = 0.0
    turns = [turn for n in range(3) for turn in itertools.combinations((0, 1), n)]
    for turn in turns:
        turned = np.ascontiguousarray(np.flip(pixels, turn))
        scores = infer(model, turned, value_range=limits, keep_scores=True).scores
        total = total + np.flip(scores, [a + 1 for a in turn])  # (K, H, W)
    return decide(model, total / len(turns)).mask


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
