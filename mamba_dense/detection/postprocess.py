"""From the boxes and scores of all points to detections: threshold, NMS, the original image."""

from collections.abc import Mapping
from typing import Any

import torch
from mmcv.ops import nms
from mmdet.models.utils import filter_scores_and_topk
from torch import Tensor


def select(
    boxes: Tensor,
    scores: Tensor,
    *,
    score_thr: float,
    multi_label: bool = True,
    nms_pre: int = 30000,
    iou_threshold: float = 0.7,
    max_per_img: int = 300,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The detections of one image, by falling score.

    Args:
        boxes: (A, 4) as left, top, right, bottom.
        scores: (A, classes) as probabilities.
        score_thr: what a score must exceed.
        multi_label: whether a box may be found as several classes, or as its best one alone.
        nms_pre: candidates that are looked at, the best ones.
        iou_threshold: a box that overlaps a better one of its class by more is left out.
        max_per_img: detections that are kept.

    Returns:
        boxes (N, 4), scores (N,), labels (N,) and the points' indices (N,).
    """
    if multi_label:
        scores, labels, index, _ = filter_scores_and_topk(scores, score_thr, nms_pre)
    else:
        scores, labels = scores.max(dim=1)
        scores, _, index, _ = filter_scores_and_topk(scores[:, None], score_thr, nms_pre)
        labels = labels[index]
    boxes = boxes[index]
    if len(boxes) == 0:
        return boxes, scores, labels, index
    # each class in a square of its own
    origin = boxes.min()
    apart = boxes - origin + labels[:, None] * (boxes.max() - origin + 1)
    _, kept = nms(apart.float(), scores.float(), iou_threshold)
    kept = kept[:max_per_img]
    return boxes[kept], scores[kept], labels[kept], index[kept]


def to_original(boxes: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Boxes of the network's input in the picture that was read, clipped to it.

    Args:
        boxes: (N, 4) in pixels of the input.
        meta: `scale_factor` (width, height), `ori_shape` (height, width), and `pad_param` (top,
            bottom, left, right) where pixels were added at the top or left.
    """
    top, _, left, _ = meta.get('pad_param', (0, 0, 0, 0))
    width_factor, height_factor = meta['scale_factor']
    shift = boxes.new_tensor([left, top, left, top])
    scale = boxes.new_tensor([width_factor, height_factor, width_factor, height_factor])
    return clipped((boxes - shift) / scale, meta['ori_shape'])


def clipped(boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Boxes (N, 4) inside an image of `shape` (height, width)."""
    height, width = shape[:2]
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
