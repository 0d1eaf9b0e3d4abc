"""A volume as one picture: its three planes with the mask over them."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..medical.slices import picture
from ..medical.volume import Volume
from .drawing import class_colours, overlay

# pixels of the longest side of a plane, and between planes
_SIDE, _GAP = 512, 8
# voxels that are looked at to find the grey levels
_SAMPLED = 1_000_000


def montage(
    volume: Volume,
    labels: np.ndarray,
    classes: int,
    palette: Sequence[Sequence[int]] | None = None,
    opacity: float = 0.4,
) -> np.ndarray:
    """The planes across X, Y and Z where most was found (else the middle), side by side.

    All three have one scale in millimetres, so that thick slices do not look flat.

    Args:
        volume: its first channel is drawn.
        labels: (X, Y, Z); 0 is not tinted.
        classes: how many there are, background included.
        palette: colours of the classes.
        opacity: of the tint.

    Returns:
        (H, W, 3) uint8.
    """
    colours = class_colours(classes, palette)
    colours[0] = 0
    low, high = _levels(volume.data[0])
    extent = [n * mm for n, mm in zip(labels.shape, volume.spacing, strict=True)]
    scale = _SIDE / max(extent)
    planes = []
    for axis, index in enumerate(chosen_planes(labels)):
        across, up = (round(extent[a] * scale) for a in range(3) if a != axis)
        size = (max(across, 1), max(up, 1))  # columns, rows
        grey = (picture(volume.data[0], axis, index) - low) * (255 / (high - low))
        grey = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)
        mask = np.ascontiguousarray(picture(labels, axis, index))
        image = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)[:, :, None]
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        planes.append(overlay(image, mask, colours, opacity))
    return _side_by_side(planes)


def chosen_planes(labels: np.ndarray) -> tuple[int, int, int]:
    """For each axis the plane with most voxels of classes other than 0, the middle without any."""
    planes = []
    for axis in range(3):
        found = np.count_nonzero(labels, axis=tuple(a for a in range(3) if a != axis))
        planes.append(int(found.argmax()) if found.any() else labels.shape[axis] // 2)
    return tuple(planes)


def _levels(values: np.ndarray) -> tuple[float, float]:
    """Intensities that become black and white."""
    step = max(1, round((values.size / _SAMPLED) ** (1 / 3)))
    low, high = np.percentile(values[::step, ::step, ::step], (0.5, 99.5))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1)


def _side_by_side(planes: Sequence[np.ndarray]) -> np.ndarray:
    height = max(len(plane) for plane in planes)
    width = sum(plane.shape[1] for plane in planes) + _GAP * (len(planes) - 1)
    sheet = np.zeros((height, width, 3), np.uint8)
    left = 0
    for plane in planes:
        top = (height - len(plane)) // 2
        sheet[top : top + len(plane), left : left + plane.shape[1]] = plane
        left += plane.shape[1] + _GAP
    return sheet
