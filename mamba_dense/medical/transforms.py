"""Transforms of the medical recipes that mmseg lacks."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from scipy import ndimage

from mamba_dense.medical.gain import check_gain, smooth_gain
from mamba_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MinMaxIntensity(BaseTransform):
    """Stretch each image to 0..255 by its own least and greatest value, all channels together.

    What VM-UNet's normalisation comes to on ISIC (arXiv 2402.02491): the mean and deviation in its
    code cancel. A constant image becomes 0.
    """

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W[, C]) in float32."""
        image = results['img'].astype(np.float32)
        low, high = float(image.min()), float(image.max())
        span = high - low
        results['img'] = (image - low) * (255 / span) if span else np.zeros_like(image)
        return results


@TRANSFORMS.register_module()
class UnitIntensity(BaseTransform):
    """The whole range of an integer image becomes 0..1, and grey three equal channels.

    For slices stored with 16 bits, or shown to the network with 8.
    """

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W, 3) in float32.

        Raises:
            TypeError: the image is not of unsigned integers, so that its range is not known.
        """
        image = results['img']
        if image.dtype.kind != 'u':
            raise TypeError(
                f'{results.get("img_path", "image")}: loaded as {image.dtype}; UnitIntensity takes '
                "unsigned integers, LoadImageFromFile(color_type='unchanged') of 8 or 16 bits."
            )
        scaled = image.astype(np.float32) / np.iinfo(image.dtype).max
        scaled = scaled if scaled.ndim == 3 else scaled[:, :, None]
        results['img'] = np.repeat(scaled, 3, axis=2) if scaled.shape[2] == 1 else scaled
        return results


@TRANSFORMS.register_module()
class SmoothGain(BaseTransform):
    """Multiply by a smooth random field, as the gain of a scanner's coils varies over an image.

    Args:
        strength, cell: see `gain.smooth_gain`.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(self, *, strength: float = 0.1, cell: float = 24.0):
        check_gain(strength, cell)
        self.strength = strength
        self.cell = cell

    @cache_randomness
    def _field(self, size: tuple[int, int]) -> np.ndarray:
        """Gain of each pixel (H, W), float32."""
        draw = np.random.standard_normal
        return smooth_gain(size, strength=self.strength, cell=self.cell, draw=draw)

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W[, C]) in its own type, clipped to its range."""
        image = results['img']
        field = self._field(image.shape[:2])
        found = image * (field if image.ndim == 2 else field[:, :, None])
        if image.dtype.kind in 'iu':
            limits = np.iinfo(image.dtype)
            found = np.clip(np.rint(found), limits.min, limits.max)
        results['img'] = found.astype(image.dtype)
        return results


@TRANSFORMS.register_module()
class TurnOrTilt(BaseTransform):
    """A quarter turn with a flip, or else a small rotation, or neither (TransUNet's on Synapse).

    With probability `turn`: a random multiple of 90 degrees, then a flip of either axis; otherwise
    with probability `tilt`: a rotation by a whole number of degrees in [-`degrees`, `degrees`),
    nearest values and zeros outside for image and label (arXiv 2402.02491, as released).

    Args:
        turn, tilt: probabilities.
        degrees: bound of the rotation.

    Raises:
        ValueError: a probability outside 0..1, or no degree to rotate by.
    """

    def __init__(self, *, turn: float = 0.5, tilt: float = 0.5, degrees: int = 20):
        if not (0 <= turn <= 1 and 0 <= tilt <= 1) or degrees < 1:
            raise ValueError(
                f'turn={turn} and tilt={tilt} must lie in 0..1, degrees={degrees} be 1 or more.'
            )
        self.turn = turn
        self.tilt = tilt
        self.degrees = degrees

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W[, C]) and its label maps moved alike."""
        fields = ['img', *results.get('seg_fields', ())]
        if np.random.random() < self.turn:
            quarters, axis = np.random.randint(4), np.random.randint(2)
            for key in fields:
                moved = np.flip(np.rot90(results[key], quarters), axis)
                results[key] = np.ascontiguousarray(moved)
        elif np.random.random() < self.tilt:
            angle = np.random.randint(-self.degrees, self.degrees)
            for key in fields:
                results[key] = ndimage.rotate(results[key], angle, order=0, reshape=False)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class ZoomSlice(BaseTransform):
    """Bring a slice to a size by splines, corner to corner (TransUNet's zoom on Synapse).

    Args:
        size: (H, W) wanted.
        order: of the spline for the image; label maps take the nearest value.
        as_original: for testing: label maps keep their grid, and the slice is said to have been of
            this size always, so that predictions stay on it and `SliceCaseScores` brings the
            chosen classes back, as published, where mmseg would bring the logits back.
    """

    def __init__(self, *, size: Sequence[int], order: int = 3, as_original: bool = False):
        self.size = tuple(size)
        self.order = order
        self.as_original = as_original

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W[, C]) and its label maps of the size wanted."""
        image = results['img']
        factors = [wanted / side for wanted, side in zip(self.size, image.shape, strict=False)]
        kept = image.dtype if image.dtype.kind == 'f' else np.float32
        found = ndimage.zoom(image.astype(kept), factors + [1] * (image.ndim - 2), order=self.order)
        results['img'] = found
        results['img_shape'] = self.size
        if self.as_original:
            results['ori_shape'] = self.size
            return results
        results['scale_factor'] = (factors[1], factors[0])
        for key in results.get('seg_fields', ()):
            results[key] = ndimage.zoom(results[key], factors, order=0)
        return results
