"""Measures of a two-class mask, and the baseline that a network has to beat."""

import cv2
import numpy as np


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks of one shape, non-zero inside; 1 where both are empty.

    Raises:
        ValueError: the shapes differ.
    """
    if mask.shape != truth.shape:
        raise ValueError(f'mask is {mask.shape}, truth is {truth.shape}; shapes must agree.')
    found, real = mask > 0, truth > 0
    size = int(found.sum()) + int(real.sum())
    return 1.0 if size == 0 else 2.0 * int((found & real).sum()) / size


def smooth(image: np.ndarray) -> np.ndarray:
    """A grey picture (H, W) after a Gaussian blur of one pixel, float32."""
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)


def fit_threshold(image: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """The threshold of a picture (H, W) whose mask has the best Dice in the pixels `inside`."""
    values, real = image[inside], truth[inside]
    levels = np.unique(np.quantile(values, np.linspace(0.02, 0.98, 193)))
    scores = [dice(values > level, real) for level in levels]
    return float(levels[int(np.argmax(scores))])
