"""Patches for training, drawn as nnU-Net draws them."""

from collections.abc import Sequence

import numpy as np

PLACES = 10_000  # voxels of a class that are remembered as centres of patches


def places(label: np.ndarray) -> tuple[np.ndarray, ...]:
    """Up to `PLACES` voxels (n, 3) of each class but 0 that is in `label` (*S), evenly chosen."""
    found = []
    for number in np.unique(label[label > 0]):
        flat = np.flatnonzero(label == number)
        if len(flat) > PLACES:
            flat = np.random.default_rng(int(number)).choice(flat, PLACES, replace=False)
        found.append(np.stack(np.unravel_index(flat, label.shape), axis=1).astype(np.int32))
    return tuple(found)


def draw_corner(
    shape: Sequence[int],
    size: Sequence[int],
    places: Sequence[np.ndarray],
    *,
    foreground: float = 0.33,
) -> list[int]:
    """First voxel of a patch along each axis; below 0 where the volume is smaller than the patch.

    As nnU-Net samples (Nature Methods 18, 203 (2021)): for a share of the patches a class that the
    case has is drawn, then one of its voxels, which becomes the centre; every other patch lies
    anywhere, each place as likely. A patch stays inside the volume; along an axis where the volume
    is smaller, the volume lies anywhere in the patch. MONAI's RandCropByPosNegLabeld and
    RandCropByLabelClassesd draw centres instead of places, which prefers the borders, and look
    through the whole label for each patch. Draws from numpy's global generator.

    Args:
        shape: of the volume.
        size: of the patch.
        places: voxels (n, 3) of each class.
        foreground: share of the patches around a voxel of the foreground.
    """
    room = [side - length for side, length in zip(shape, size, strict=True)]
    low, high = [min(0, n) for n in room], [max(0, n) for n in room]
    if not places or np.random.random() >= foreground:
        return [np.random.randint(a, b + 1) for a, b in zip(low, high, strict=True)]
    voxels = places[np.random.randint(len(places))]
    centre = voxels[np.random.randint(len(voxels))]
    wanted = [int(c) - length // 2 for c, length in zip(centre, size, strict=True)]
    return [min(max(w, a), b) for w, a, b in zip(wanted, low, high, strict=True)]


def patch_at(volume: np.ndarray, corner: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """A copy (C, *size) of a part of a volume (C, *S), 0 beyond it."""
    inside = [
        (max(0, start), min(side, start + length))
        for start, length, side in zip(corner, size, volume.shape[1:], strict=True)
    ]
    part = volume[(slice(None), *(slice(*ends) for ends in inside))]
    padding = [
        (low - start, start + length - high)
        for (low, high), start, length in zip(inside, corner, size, strict=True)
    ]
    return np.pad(part, ((0, 0), *padding))
