"""Degraded pairs at graded levels: blur, noise, JPEG, misregistration."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mamba_dense.change.transforms import stack_dates
from mamba_dense.registry import TRANSFORMS


@dataclass(frozen=True)
class Degradation:
    """One kind of damage to pictures.

    Attributes:
        strengths: of the levels 1, 2, ...; level 0 leaves a pair as it is.
        unit: what the strengths count.
        apply: (picture (H, W, 3) uint8, strength, generator) -> picture.
        dates: which of the two dates suffer.
    """

    strengths: tuple[float, ...]
    unit: str
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    dates: tuple[int, ...] = (0, 1)


def _blur(image: np.ndarray, sigma: float, _rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    noisy = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: float, _rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', quality=int(quality))
    return np.array(Image.open(file))


def _shift(image: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    move = np.float32([[1, 0, pixels * np.cos(angle)], [0, 1, pixels * np.sin(angle)]])
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, move, size, borderMode=cv2.BORDER_REFLECT_101)


# the grades are of our own choice
DEGRADATIONS: dict[str, Degradation] = {
    'blur': Degradation((0.5, 1.0, 1.5, 2.0, 3.0), 'sigma, pixels', _blur),
    'noise': Degradation((5.0, 10.0, 15.0, 25.0, 40.0), 'deviation, grey levels', _noise),
    'jpeg': Degradation((80.0, 60.0, 40.0, 20.0, 10.0), 'quality', _jpeg),
    'shift': Degradation((0.5, 1.0, 2.0, 3.0, 5.0), 'pixels', _shift, dates=(1,)),
}


@TRANSFORMS.register_module()
class Degrade(BaseTransform):
    """Degrades a loaded pair; the same seed, kind, level and `name` of the sample give the same.

    Blur, noise and JPEG strike both dates, noise each with its own draw; `shift` moves the second
    one alone, by so many pixels in a random direction, and its labels stay.

    Args:
        kind: a name of `DEGRADATIONS`.
        level: 1, the least, to as many as the kind has; 0 changes nothing.
        seed: of the draws.

    Raises:
        ValueError: an unknown kind or level.
    """

    def __init__(self, kind: str, level: int, seed: int = 0):
        self.kind, self.level, self.seed = kind, level, seed
        self.strength = strength(kind, level)

    def transform(self, results: dict) -> dict:
        """`results` with `img` degraded."""
        if self.strength is None:
            return results
        degradation = DEGRADATIONS[self.kind]
        words = [crc32(text.encode()) for text in (self.kind, str(results.get('name', '')))]
        rng = np.random.default_rng((self.seed, self.level, *words))
        dates = [np.ascontiguousarray(one) for one in np.split(results['img'], 2, axis=2)]
        for date in degradation.dates:
            dates[date] = degradation.apply(dates[date], self.strength, rng)
        results['img'] = stack_dates(*dates)
        return results


def strength(kind: str, level: int) -> float | None:
    """How strong a level of a kind is, in the kind's unit; None for level 0.

    Raises:
        ValueError: an unknown kind or level.
    """
    if kind not in DEGRADATIONS:
        raise ValueError(f'kind={kind!r} is not known; known: {", ".join(DEGRADATIONS)}.')
    strengths = DEGRADATIONS[kind].strengths
    if level not in range(len(strengths) + 1):
        raise ValueError(
            f'level={level!r} of {kind} is not one of 0 (untouched) to {len(strengths)}.'
        )
    return strengths[level - 1] if level else None
