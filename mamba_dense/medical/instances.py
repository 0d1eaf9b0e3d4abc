"""Instances found against instances there: F1 at an overlap, as the cell benchmarks have it.

NeurIPS 2022 Cell Segmentation, used by U-Mamba and xLSTM-UNet (arXiv 2407.01530).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

BORDER = 2  # pixels: what touches them is left out
WHOLE = 25_000_000  # pixels up to which a picture is scored whole
TILE = 2000  # side of a part of a larger one


@dataclass(frozen=True)
class InstanceCounts:
    """Instances that were found, found wrongly, and missed."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: 'InstanceCounts') -> 'InstanceCounts':
        return InstanceCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where nothing is there and nothing was found."""
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else 1.0


def connected(mask: np.ndarray) -> np.ndarray:
    """The instances of a mask (H, W): pixels that touch, corners included, numbered from 1."""
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[0]


def without_border(instances: np.ndarray, width: int = BORDER) -> np.ndarray:
    """The instance map (H, W) without the instances that touch its outer `width` pixels."""
    inner = np.zeros(instances.shape, bool)
    inner[(slice(width, -width),) * instances.ndim] = True
    return np.where(np.isin(instances, np.unique(instances[~inner])), 0, instances)


def match_instances(
    predicted: np.ndarray, truth: np.ndarray, threshold: float = 0.5
) -> InstanceCounts:
    """Pair the instances of two maps so that most pairs overlap by `threshold`; count them.

    The pairs minimise the sum of -(IoU >= threshold) - IoU / (2 n), n the number of pairs.

    Args:
        predicted, truth: instance numbers (H, W), 0 where there is none.
        threshold: the IoU from which a pair counts.
    """
    ious = _overlaps(predicted, truth)
    pairs = min(ious.shape)
    hits = 0
    if pairs:
        cost = -(ious >= threshold).astype(float) - ious / (2 * pairs)
        hits = int(np.count_nonzero(ious[optimize.linear_sum_assignment(cost)] >= threshold))
    return InstanceCounts(hits, ious.shape[1] - hits, ious.shape[0] - hits)


def _overlaps(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """IoU of each instance of the truth with each one predicted."""
    there, ours = np.unique(truth, return_inverse=True), np.unique(predicted, return_inverse=True)
    shared = np.zeros((there[0].size, ours[0].size))
    np.add.at(shared, (there[1].ravel(), ours[1].ravel()), 1.0)
    areas = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True)
    ious = shared / (areas - shared)
    return ious[there[0] != 0][:, ours[0] != 0]


def picture_instances(
    predicted: np.ndarray, truth: np.ndarray, threshold: float = 0.5
) -> InstanceCounts:
    """As `match_instances`, without what touches the border; a large picture goes tile by tile.

    Above 25 million pixels each tile of 2000x2000 is scored as a picture of its own.
    """
    if truth.size <= WHOLE:
        return match_instances(without_border(predicted), without_border(truth), threshold)
    total = InstanceCounts()
    for row in range(0, truth.shape[0], TILE):
        for column in range(0, truth.shape[1], TILE):
            part = slice(row, row + TILE), slice(column, column + TILE)
            total += match_instances(
                without_border(predicted[part]), without_border(truth[part]), threshold
            )
    return total
