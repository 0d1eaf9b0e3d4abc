"""YOLO's augmentation where mmdet's differs: mosaic and its closing, affine, colours, sizes.

mmdet's RandomAffine turns about the top left corner and keeps slivers; its colours are shifted, not
scaled; its Mosaic draws one index too many; its switch of the pipeline and its random size keep a
state that no checkpoint holds. What is here depends on the place in the stream alone, so that a
resumed run repeats an unbroken one (see `engine/streams.py`).
"""

import random
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets import MultiImageMixDataset
from mmdet.datasets.transforms import Mosaic
from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmdet.structures.bbox import autocast_box_type
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub

from mamba_dense.registry import DATASETS, MODELS, TRANSFORMS


@DATASETS.register_module()
class ClosingMixDataset(MultiImageMixDataset):
    """mmdet's MultiImageMixDataset with another pipeline towards the end of the training.

    Which one applies follows from a sample's position in the stream of all samples, which
    `tools/train.py` hands on: neither workers that fetch ahead nor a resumed run change it. Outside
    such a run (looking at single samples) the first pipeline applies.

    Args:
        dataset: config of the dataset of single images.
        pipeline: transforms at first, mosaic among them.
        late_pipeline: transforms at the end.
        close_epoch: epoch, counted from 0, with which the second begins; for epoch-based training.
        close_samples: samples of all processes after which it begins; for training by iterations.

    Raises:
        ValueError: not exactly one of the two is given.
    """

    def __init__(
        self,
        dataset: dict,
        pipeline: Sequence[dict],
        late_pipeline: Sequence[dict],
        *,
        close_epoch: int | None = None,
        close_samples: int | None = None,
    ):
        super().__init__(dataset, pipeline)
        if (close_epoch is None) == (close_samples is None):
            raise ValueError(
                f'close_epoch={close_epoch} and close_samples={close_samples}: give one of them.'
            )
        self.late = MultiImageMixDataset(self.dataset, late_pipeline)
        world = get_world_size()
        epoch = -(-len(self) // world) * world  # samplers fill up the last round
        self.close_samples = epoch * close_epoch if close_samples is None else close_samples

    def __getitem__(self, index: int) -> dict:
        """The sample, augmented as its position says."""
        if getattr(index, 'position', 0) >= self.close_samples:
            return self.late[index]
        return super().__getitem__(index)


@TRANSFORMS.register_module()
class MosaicOfFour(Mosaic):
    """mmdet's Mosaic, which may ask for an image beyond the last one. Same arguments."""

    @cache_randomness
    def get_indexes(self, dataset: Sequence) -> list[int]:
        """Three further images."""
        return [random.randrange(len(dataset)) for _ in range(3)]


@TRANSFORMS.register_module()
class CentredAffine(BaseTransform):
    """Scale about the centre, move it to a random place near the middle, cut to `size`.

    Args:
        size: (width, height) of the result.
        scale_range: of the scaling.
        translate: the centre comes to 0.5 +- so much of the result's sides.
        min_side: boxes are kept above so many pixels in width and height,
        min_area: above this share of their area before the cut,
        max_ratio: and below this ratio of the sides.
        border_val: grey outside the image.
    """

    def __init__(
        self,
        size: tuple[int, int] = (640, 640),
        *,
        scale_range: tuple[float, float] = (0.5, 1.5),
        translate: float = 0.1,
        min_side: float = 2.0,
        min_area: float = 0.1,
        max_ratio: float = 100.0,
        border_val: int = 114,
    ):
        if not 0 < scale_range[0] <= scale_range[1]:
            raise ValueError(f'scale_range={tuple(scale_range)} must be positive and rising')
        self.size = tuple(size)
        self.scale_range = scale_range
        self.translate = translate
        self.min_side = min_side
        self.min_area = min_area
        self.max_ratio = max_ratio
        self.border_val = border_val

    @cache_randomness
    def _draw(self) -> tuple[float, float, float]:
        middle = [random.uniform(0.5 - self.translate, 0.5 + self.translate) for _ in range(2)]
        return random.uniform(*self.scale_range), middle[0], middle[1]

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """`results` with image and boxes moved; boxes that hardly remain are left out.

        Raises:
            ValueError: there are masks, which this transform does not move.
        """
        if 'gt_masks' in results:
            raise ValueError('CentredAffine moves no masks: load the annotations without them')
        image = results['img']
        width, height = self.size
        factor, x, y = self._draw()
        matrix = np.array(
            [
                [factor, 0, x * width - factor * image.shape[1] / 2],
                [0, factor, y * height - factor * image.shape[0] / 2],
                [0, 0, 1],
            ],
            dtype=np.float32,
        )
        grey = (self.border_val,) * 3
        results['img'] = cv2.warpAffine(image, matrix[:2], (width, height), borderValue=grey)
        results['img_shape'] = (height, width)
        boxes = results['gt_bboxes']
        if len(boxes):
            boxes.project_(matrix)
            whole = boxes.areas
            boxes.clip_([height, width])
            kept = self._kept(boxes.widths, boxes.heights, whole).numpy()
            for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
                results[key] = results[key][kept]
        return results

    def _kept(self, width: torch.Tensor, height: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Which boxes stay; all (N,)."""
        eps = 1e-16
        ratio = torch.maximum(width / (height + eps), height / (width + eps))
        return (
            (width > self.min_side)
            & (height > self.min_side)
            & (width * height / (whole + eps) > self.min_area)
            & (ratio < self.max_ratio)
        )


@TRANSFORMS.register_module()
class HSVGains(BaseTransform):
    """Multiply hue, saturation and value by 1 +- a gain each; of 8-bit BGR images.

    Args:
        hue, saturation, value: the largest gains.
    """

    def __init__(self, hue: float = 0.015, saturation: float = 0.7, value: float = 0.4):
        self.gains = (hue, saturation, value)

    @cache_randomness
    def _draw(self) -> np.ndarray:
        return 1 + np.random.uniform(-1, 1, 3) * self.gains

    def transform(self, results: dict) -> dict:
        """`results` with the image's colours scaled."""
        factors = self._draw()
        steps = np.arange(256)
        tables = [
            (steps * factors[0]) % 180,
            np.clip(steps * factors[1], 0, 255),
            np.clip(steps * factors[2], 0, 255),
        ]
        channels = cv2.split(cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV))
        scaled = [
            cv2.LUT(channel, table.astype(np.uint8))
            for channel, table in zip(channels, tables, strict=True)
        ]
        results['img'] = cv2.cvtColor(cv2.merge(scaled), cv2.COLOR_HSV2BGR)
        return results


@MODELS.register_module()
class SteppedResize(BatchSyncRandomResize):
    """mmdet's BatchSyncRandomResize whose size follows from the iteration, in each process alike.

    Args:
        random_size_range: smallest and largest side.
        interval: iterations between two sizes.
        size_divisor: sides are multiples of it.
        seed: of the row of sizes.
    """

    def __init__(
        self,
        random_size_range: tuple[int, int],
        interval: int = 10,
        size_divisor: int = 32,
        seed: int = 0,
    ):
        super().__init__(random_size_range, interval, size_divisor)
        self._seed = seed

    def forward(self, inputs: torch.Tensor, data_samples: list) -> tuple[torch.Tensor, list]:
        """Images (B, C, H, W) and their boxes at the size of this iteration."""
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        draw = np.random.default_rng((self._seed, iteration // self._interval))
        low, high = self._random_size_range
        steps = int(draw.integers(low, high + 1))
        height, width = inputs.shape[-2:]
        across = round(steps * width / height)
        self._input_size = (self._size_divisor * steps, self._size_divisor * across)
        return super().forward(inputs, data_samples)

    def _get_random_size(self, **_options) -> tuple[int, int]:
        return self._input_size
