"""Letterbox: the longer side to a size, the rest filled on both sides alike."""

from math import ceil

import cv2
import numpy as np
from mmdet.datasets.transforms import Resize
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mamba_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LetterBox(Resize):
    """Resize within `scale`, keeping the ratio, and pad around the centre.

    `pad_param` (top, bottom, left, right) is noted beside `scale_factor`; hand both on by the
    `meta_keys` of PackDetInputs: the heads of Mamba-YOLO undo them.

    Args:
        scale: (width, height) that the image is to fit in.
        rectangle: pad each side to the next multiple of `divisor` at least half of it away,
            ceil(side / divisor + 1/2) * divisor, instead of to `scale`.
        divisor: see `rectangle`.
        pad_val: grey to fill with.
    """

    def __init__(
        self,
        scale: tuple[int, int] = (640, 640),
        *,
        rectangle: bool = False,
        divisor: int = 32,
        pad_val: int = 114,
    ):
        super().__init__(scale=scale, keep_ratio=True)
        if divisor < 1:
            raise ValueError(f'divisor={divisor} must be at least 1')
        self.rectangle = rectangle
        self.divisor = divisor
        self.pad_val = pad_val

    def transform(self, results: dict) -> dict:
        """`results` with image, boxes and masks resized and moved."""
        results = super().transform(results)
        height, width = results['img'].shape[:2]
        if self.rectangle:
            wanted = [ceil(side / self.divisor + 0.5) * self.divisor for side in (height, width)]
        else:
            wanted = [self.scale[1], self.scale[0]]
        down, across = wanted[0] - height, wanted[1] - width
        pad = (down // 2, down - down // 2, across // 2, across - across // 2)
        return padded(results, pad, self.pad_val)


def padded(results: dict, pad: tuple[int, int, int, int], value: int) -> dict:
    """`results` with `pad` (top, bottom, left, right) rows and columns of `value` around."""
    top, bottom, left, right = pad
    grey = (value, value, value)
    image = cv2.copyMakeBorder(
        results['img'], top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey
    )
    results['img'], results['img_shape'] = image, image.shape[:2]
    results['pad_param'] = pad
    if 'gt_bboxes' in results:
        results['gt_bboxes'].translate_([left, top])
    if 'gt_masks' in results:
        results['gt_masks'] = _moved(results['gt_masks'], pad)
    return results


def _moved(
    masks: BitmapMasks | PolygonMasks, pad: tuple[int, int, int, int]
) -> BitmapMasks | PolygonMasks:
    top, bottom, left, right = pad
    height, width = masks.height + top + bottom, masks.width + left + right
    if isinstance(masks, BitmapMasks):
        grown = np.pad(masks.masks, ((0, 0), (top, bottom), (left, right)))
        return BitmapMasks(grown, height, width)
    shift = np.array([left, top])
    moved = [[(part.reshape(-1, 2) + shift).ravel() for part in parts] for parts in masks.masks]
    return PolygonMasks(moved, height, width)
