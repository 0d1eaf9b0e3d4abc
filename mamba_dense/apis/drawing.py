"""Masks as pictures: colours of classes, overlays, error maps."""

from collections.abc import Sequence

import numpy as np

Colour = tuple[int, int, int]
BACKGROUND: Colour = (0, 0, 0)


def class_colours(count: int, palette: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """Colours (count, 3) uint8 of the classes: the data set's palette, else one of our own.

    Our own leaves class 0 of two classes black (not drawn) and spreads the others round the
    colour circle, neighbours far apart.
    """
    if palette is not None and len(palette) >= count:
        return np.asarray(palette[:count], np.uint8)
    golden = 0.61803398875
    hues = (np.arange(count) * golden + 0.02) % 1.0
    wheel = np.abs((hues[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1  # (count, 3)
    colours = np.rint(55 + 200 * np.clip(wheel, 0, 1)).astype(np.uint8)
    if count == 2:
        colours[0] = BACKGROUND
    return colours


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool that have another class than one of their four neighbours."""
    edge = np.zeros(mask.shape, bool)
    down, right = mask[:-1] != mask[1:], mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= down
    edge[1:] |= down
    edge[:, :-1] |= right
    edge[:, 1:] |= right
    return edge


def overlay(
    image: np.ndarray, mask: np.ndarray, colours: np.ndarray, opacity: float = 0.4
) -> np.ndarray:
    """The picture under its mask: classes tinted, borders drawn, black classes left alone.

    Args:
        image: (H, W, 3) or (H, W, 1) uint8.
        mask: (H, W) class indices; indices without a colour are left alone.
        colours: (classes, 3) uint8.
        opacity: share of the colour inside a region.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: picture and mask have different sizes, or opacity is not within 0 and 1.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f'image is {image.shape[:2]}, mask is {mask.shape}; sizes must agree.')
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f'opacity={opacity} must be from 0 to 1.')
    base = np.broadcast_to(image, (*mask.shape, 3)).astype(np.float32)
    table = np.zeros((int(mask.max()) + 1, 3), np.float32)
    known = min(len(table), len(colours))
    table[:known] = colours[:known]
    paint = table[mask]  # (H, W, 3)
    drawn = paint.any(axis=2, keepdims=True)
    share = np.where(outline(mask)[:, :, None], 1.0, opacity)
    share = np.where(drawn, share, 0.0)
    return np.rint(base * (1 - share) + paint * share).astype(np.uint8)


def error_map(image: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Grey picture with what a two-class mask found (green), missed (blue) and made up (red).

    Args:
        image: (H, W, 3) or (H, W, 1) uint8.
        mask: (H, W), non-zero where predicted.
        truth: (H, W), non-zero where true.

    Returns:
        (H, W, 3) uint8.
    """
    base = np.broadcast_to(image.mean(axis=2, keepdims=True), (*mask.shape, 3)) * 0.6
    out = base.copy()
    found, real = mask > 0, truth > 0
    for where, colour in (
        (found & real, (60, 200, 90)),
        (~found & real, (80, 130, 255)),
        (found & ~real, (255, 80, 60)),
    ):
        out[where] = base[where] * 0.45 + np.array(colour) * 0.55
    return np.rint(out).astype(np.uint8)


def stretch(image: np.ndarray) -> np.ndarray:
    """A dim picture made visible: its 0.5 and 99.7 percentiles become 0 and 255."""
    low, high = np.percentile(image, (0.5, 99.7))
    scaled = (image.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
