"""Planes of a volume as pictures, and pictures as planes: one convention for training and use."""

from collections.abc import Sequence

import numpy as np


def picture(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """One plane as a picture: rows along the last remaining axis from its end, columns the first.

    In a volume whose axes run to the right, front and top of a head, planes along axis 1 stand
    upright, and planes along axis 2 show the front on top.

    Args:
        volume: (X, Y, Z), or (C, X, Y, Z) with channels.
        axis: 0, 1 or 2, of X, Y and Z.
        index: which plane.

    Returns:
        (H, W), or (H, W, C) of a volume with channels; a view.
    """
    return np.moveaxis(volume, axis + volume.ndim - 3, 0)[index][..., ::-1].T


def plane(picture: np.ndarray) -> np.ndarray:
    """The way back of a picture (H, W): the plane (first remaining axis, last), a view."""
    return picture.T[..., ::-1]


def default_axis(spacing: Sequence[float]) -> int:
    """The axis that scanners step along: that of the largest spacing, the last of equals.

    >>> default_axis((0.7, 0.7, 5.0)), default_axis((4.0, 1.0, 1.0)), default_axis((1.0, 1.0, 1.0))
    (2, 0, 2)
    """
    largest = max(spacing) * (1 - 1e-3)
    return max(axis for axis, mm in enumerate(spacing) if mm >= largest)
