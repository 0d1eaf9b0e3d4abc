"""Transforms of the medical recipes that mmseg lacks."""

import numpy as np
from mmcv.transforms import BaseTransform

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
