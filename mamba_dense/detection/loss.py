"""Complete IoU as YOLO's networks take it: of two boxes, and as a loss (arXiv 1911.08287)."""

import math

import torch
from torch import Tensor, nn

from mamba_dense.registry import MODELS

EPS = 1e-7


def complete_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """CIoU = IoU - (distance of the centres / diagonal)^2 - alpha v, v of the aspect ratios.

    mmdet's CIoU differs: it leaves alpha out below an IoU of one half, has no eps in alpha or the
    heights, and clamps.

    Args:
        boxes, others: (..., 4) as left, top, right, bottom; they broadcast.

    Returns:
        (...), at most 1; no gradient passes through alpha.
    """
    left, top, right, bottom = boxes.unbind(-1)
    left2, top2, right2, bottom2 = others.unbind(-1)
    width, height = right - left, bottom - top + EPS
    width2, height2 = right2 - left2, bottom2 - top2 + EPS
    across = (torch.minimum(right, right2) - torch.maximum(left, left2)).clamp(min=0)
    down = (torch.minimum(bottom, bottom2) - torch.maximum(top, top2)).clamp(min=0)
    shared = across * down
    iou = shared / (width * height + width2 * height2 - shared + EPS)
    hull_width = torch.maximum(right, right2) - torch.minimum(left, left2)
    hull_height = torch.maximum(bottom, bottom2) - torch.minimum(top, top2)
    diagonal = hull_width**2 + hull_height**2 + EPS
    distance = ((left2 + right2 - left - right) ** 2 + (top2 + bottom2 - top - bottom) ** 2) / 4
    v = 4 / math.pi**2 * (torch.atan(width2 / height2) - torch.atan(width / height)) ** 2
    with torch.no_grad():
        alpha = v / (v - iou + (1 + EPS))
    return iou - (distance / diagonal + alpha * v)


@MODELS.register_module()
class CompleteIoULoss(nn.Module):
    """1 - CIoU, weighted and summed.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor = 1.0,
    ) -> Tensor:
        """The loss of predicted boxes.

        Args:
            pred, target: (N, 4) as left, top, right, bottom.
            weight: (N,), or None for 1.
            avg_factor: what the sum is divided by.
        """
        loss = 1 - complete_iou(pred, target)
        loss = loss if weight is None else loss * weight
        return self.loss_weight * loss.sum() / avg_factor
