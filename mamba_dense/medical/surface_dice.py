"""Dice and normalised surface Dice as the abdomen and endoscopy benchmarks have them.

The surface's pieces count by their area here (MONAI's `use_subvoxels`); in `scores` each voxel of
the surface counts alike. Used by U-Mamba and xLSTM-UNet (arXiv 2407.01530).
"""

from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_surface_dice

from mamba_dense.medical.scores import Counts

DIGITS = 4  # of a reported value


def area_surface_dice(
    predicted: np.ndarray,
    truth: np.ndarray,
    tolerance: float,
    spacing: Sequence[float] | None = None,
) -> float:
    """Share of both surfaces' area that lies within `tolerance` of the other surface.

    MONAI's `compute_surface_dice(use_subvoxels=True)`, in single precision, with values where it
    has none: 1 where both masks are empty, 0 where one is.

    Args:
        predicted, truth: masks (X, Y, Z), or (H, W), which is taken for a volume one voxel thick.
        tolerance: in the unit of `spacing`.
        spacing: size of a voxel along each axis; 1 by default.
    """
    if not np.any(predicted) or not np.any(truth):
        return float(np.any(predicted) == np.any(truth))
    spacing = [1.0] * predicted.ndim if spacing is None else [float(step) for step in spacing]
    masks = [torch.from_numpy(np.asarray(mask, bool)).float() for mask in (predicted, truth)]
    if predicted.ndim == 2:
        masks, spacing = [mask.unsqueeze(-1) for mask in masks], [*spacing, 1.0]
    found = compute_surface_dice(
        *(mask[None, None] for mask in masks),
        [tolerance],
        include_background=True,
        spacing=spacing,
        use_subvoxels=True,
    )
    return float(found)


# the organs of AMOS and FLARE22 by their numbers, from 1: tolerance in millimetres, and whether
# only the slices that the reference labels are scored
ORGANS = {
    'liver': (5, False),
    'right kidney': (3, False),
    'spleen': (3, False),
    'pancreas': (5, False),
    'aorta': (2, True),
    'inferior vena cava': (2, True),
    'right adrenal gland': (2, False),
    'left adrenal gland': (2, False),
    'gallbladder': (2, False),
    'oesophagus': (3, True),
    'stomach': (5, False),
    'duodenum': (7, False),
    'left kidney': (3, False),
}


def organ_scores(
    predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
) -> dict[str, tuple[float, float]]:
    """Dice and surface Dice of each of the 13 organs of one case, of 4 decimals.

    Of aorta, vena cava and oesophagus only the slices from the first that the reference labels up
    to, without, the last one are scored, as released; a reference of a single slice is scored on
    it. Both empty is (1, 1), one empty (0, 0).

    Args:
        predicted, truth: class numbers (X, Y, Z), slices along the last axis.
        spacing: millimetres along each axis.
    """
    found = {}
    for number, (name, (tolerance, tube)) in enumerate(ORGANS.items(), 1):
        ours, theirs = predicted == number, truth == number
        if tube and theirs.any():
            labelled = np.flatnonzero(theirs.any((0, 1)))
            part = slice(labelled[0], max(labelled[-1], labelled[0] + 1))
            ours, theirs = ours[..., part], theirs[..., part]
        dice = Counts.of(ours, theirs).dice
        surface = area_surface_dice(ours, theirs, tolerance, spacing)
        found[name] = round(dice, DIGITS), round(surface, DIGITS)
    return found


def present_scores(
    predicted: np.ndarray, truth: np.ndarray, tolerance: float = 2.0
) -> tuple[float, float]:
    """Dice and surface Dice of one picture, means over the labels that either map has.

    The smallest of these labels is taken for the background and left out, as released. Where none
    is left the picture has (1, 1).

    Args:
        predicted, truth: class numbers (H, W).
        tolerance: in pixels.
    """
    labels = np.union1d(predicted, truth)[1:]
    if not labels.size:
        return 1.0, 1.0
    pairs = [(predicted == label, truth == label) for label in labels]
    dice = [Counts.of(*pair).dice for pair in pairs]
    surface = [area_surface_dice(*pair, tolerance) for pair in pairs]
    return float(np.mean(dice)), float(np.mean(surface))
