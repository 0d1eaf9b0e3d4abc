"""Scores of medical segmentation on arrays: pooled pixels, one class of one case, surfaces.

Every undefined case has a stated value. MONAI's metrics answer NaN or infinity there and measure
surface distances otherwise than medpy, by which the published figures were made; these follow
medpy (arXiv 2402.02491, section 4, and the released evaluation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Counts:
    """Pixels of one foreground: true positives, false positives, false and true negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(cls, predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None):
        """Count two masks of one shape; `valid` says which pixels count, all by default."""
        predicted, truth = np.asarray(predicted, bool), np.asarray(truth, bool)
        if predicted.shape != truth.shape:
            raise ValueError(
                f'masks of {predicted.shape} and {truth.shape} must be of one shape; resample one.'
            )
        if valid is not None:
            predicted, truth = predicted[valid], truth[valid]
        tp = int(np.count_nonzero(predicted & truth))
        fp = int(np.count_nonzero(predicted)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, predicted.size - tp - fp - fn)

    def __add__(self, other: 'Counts') -> 'Counts':
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); 1 where nothing is there and nothing was found."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where nothing is there and nothing was found."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of pixels that are right; 1 where there is none."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); 1 where nothing is there."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP); 1 where all is foreground."""
        return _ratio(self.tn, self.tn + self.fp)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def case_scores(
    predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[float, float]:
    """Dice and HD95 of one class of one case, as VM-UNet and TransUNet report them on Synapse.

    Undefined cases, as released: nothing predicted is (0, 0), with or without a truth; something
    predicted where there is no truth is (1, 0).

    Args:
        predicted, truth: masks of one shape.
        spacing: millimetres of a voxel along each axis; 1 by default.
    """
    if not np.any(predicted):
        return 0.0, 0.0
    if not np.any(truth):
        return 1.0, 0.0
    return Counts.of(predicted, truth).dice, hausdorff95(predicted, truth, spacing)


def hausdorff95(
    predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None = None
) -> float:
    """The 95th percentile of the distances of either surface to the other, taken together.

    0 where both masks are empty, infinity where one is.

    Args:
        predicted, truth: masks of one shape.
        spacing: size of a voxel along each axis; the unit of the result. 1 by default.
    """
    if not np.any(predicted) or not np.any(truth):
        return 0.0 if np.any(predicted) == np.any(truth) else float('inf')
    return float(np.percentile(np.hstack(surface_distances(predicted, truth, spacing)), 95))


def normalised_surface_dice(
    predicted: np.ndarray,
    truth: np.ndarray,
    tolerance: float,
    spacing: Sequence[float] | None = None,
) -> float:
    """Share of both surfaces' voxels that lie within `tolerance` of the other surface.

    1 where both masks are empty, 0 where one is.

    Args:
        predicted, truth: masks of one shape.
        tolerance: in the unit of `spacing`.
        spacing: size of a voxel along each axis; 1 by default.
    """
    if not np.any(predicted) or not np.any(truth):
        return float(np.any(predicted) == np.any(truth))
    distances = np.hstack(surface_distances(predicted, truth, spacing))
    return float(np.mean(distances <= tolerance))


def surface_distances(
    predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each surface voxel to the other mask's surface, both ways.

    A surface voxel has a neighbour along an axis, or the border of the array, outside its mask.
    """
    box = _box(np.asarray(predicted, bool) | np.asarray(truth, bool))
    ours, theirs = _surface(predicted[box]), _surface(truth[box])
    return (
        ndimage.distance_transform_edt(~theirs, sampling=spacing)[ours],
        ndimage.distance_transform_edt(~ours, sampling=spacing)[theirs],
    )


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around a mask: outside of it is no surface, and nothing changes."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        box.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0))
    return tuple(box)


def _surface(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask, bool)
    inside = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1))
    return mask & ~inside
