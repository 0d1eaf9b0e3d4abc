"""Augmentation that mmdet lacks: quarter turns, and crops that hold a labelled object."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomCrop
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mamba_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Swaps rows and columns; with flips along both axes all eight positions of a square.

    Args:
        prob: how often.
    """

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} must lie between 0 and 1')
        self.prob = prob

    @cache_randomness
    def _chosen(self) -> bool:
        return bool(np.random.rand() < self.prob)

    def transform(self, results: dict) -> dict:
        """`results` with image, boxes and masks swapped alike."""
        if not self._chosen():
            return results
        image = np.ascontiguousarray(results['img'].swapaxes(0, 1))
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        if 'gt_bboxes' in results:
            boxes = results['gt_bboxes']
            tensor = boxes.tensor if isinstance(boxes, HorizontalBoxes) else boxes
            results['gt_bboxes'] = HorizontalBoxes(tensor[:, [1, 0, 3, 2]])
        if 'gt_masks' in results:
            results['gt_masks'] = transposed(results['gt_masks'])
        return results


def transposed(masks: BitmapMasks | PolygonMasks) -> BitmapMasks | PolygonMasks:
    """Masks of images (H, W) as those of images (W, H)."""
    if isinstance(masks, BitmapMasks):
        swapped = np.ascontiguousarray(masks.masks.swapaxes(1, 2))
        return BitmapMasks(swapped, masks.width, masks.height)
    swapped = [
        [np.ascontiguousarray(part.reshape(-1, 2)[:, ::-1]).ravel() for part in parts]
        for parts in masks.masks
    ]
    return PolygonMasks(swapped, masks.width, masks.height)


@TRANSFORMS.register_module()
class CropAtObject(RandomCrop):
    """mmdet's RandomCrop, placed so that the centre of a random object lies inside.

    Where only some objects of a picture are labelled, crops around the labelled ones show fewer of
    the others as background. A picture without objects is cropped anywhere. Same arguments.
    """

    def _crop_data(
        self, results: dict, crop_size: tuple[int, int], allow_negative_crop: bool
    ) -> dict | None:
        boxes = results['gt_bboxes'].tensor
        self._window, self._centre = crop_size, None
        if len(boxes):
            left, top, right, bottom = boxes[np.random.randint(len(boxes))].tolist()
            self._centre = ((top + bottom) / 2, (left + right) / 2)  # row, column
        return super()._crop_data(results, crop_size, allow_negative_crop)

    @cache_randomness
    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        if self._centre is None:
            return super()._rand_offset(margin)
        low = [
            int(max(0, c - side + 1)) for c, side in zip(self._centre, self._window, strict=True)
        ]
        high = [int(min(c, most)) for c, most in zip(self._centre, margin, strict=True)]
        rows, columns = (
            int(np.random.randint(min(a, b), b + 1)) for a, b in zip(low, high, strict=True)
        )
        return rows, columns
