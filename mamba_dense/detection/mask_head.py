"""Mamba-YOLO's mask variant: prototypes, and their coefficients at each point (YOLACT, 1904.02689).

The variant was shipped without figures and without a recipe. Its network is the authors'; the
masks' loss is YOLACT's: binary cross entropy inside the object's box, over the area of the box.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.bricks import ConvSiLU
from mamba_dense.detection.head import MambaYOLOHead, as_points, placed, run_towers, tower
from mamba_dense.registry import MODELS

# masks that are enlarged at a time
CHUNK = 32


class Prototypes(nn.Module):
    """Maps at twice the grid: 3x3 convolution, transposed convolution, 3x3 and 1x1 convolution.

    Args:
        channels: width before.
        hidden: width between.
        count: prototypes.
    """

    NO_DECAY = ('upsample.bias',)

    def __init__(self, channels: int, hidden: int, count: int):
        super().__init__()
        self.conv1 = ConvSiLU(channels, hidden, 3)
        self.upsample = nn.ConvTranspose2d(hidden, hidden, 2, stride=2)
        self.conv2 = ConvSiLU(hidden, hidden, 3)
        self.conv3 = ConvSiLU(hidden, count)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, count, 2 H, 2 W)."""
        x = self.upsample(self.conv1(x).permute(0, 3, 1, 2))  # (B, hidden, 2 H, 2 W)
        x = self.conv3(self.conv2(x.permute(0, 2, 3, 1)))
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class MambaYOLOMaskHead(MambaYOLOHead):
    """`MambaYOLOHead` with a tower of mask coefficients on each level, and prototypes.

    Args:
        num_classes, in_channels, strides, reg_max, image_size, loss_cls, loss_bbox, loss_dfl,
            train_cfg, test_cfg, init_cfg: see `MambaYOLOHead`.
        num_prototypes: prototypes.
        prototype_channels: width of the layers that make them.
        mask_weight: factor of the masks' loss.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        *,
        strides: Sequence[int] = (8, 16, 32),
        reg_max: int = 16,
        image_size: int = 640,
        num_prototypes: int = 32,
        prototype_channels: int = 64,
        mask_weight: float = 7.5,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            num_classes,
            in_channels,
            strides=strides,
            reg_max=reg_max,
            image_size=image_size,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        hidden = max(in_channels[0] // 4, num_prototypes)
        self.mask_weight = mask_weight
        self.coefficient_towers = nn.ModuleList(
            tower(c, hidden, num_prototypes) for c in in_channels
        )
        self.prototypes = Prototypes(in_channels[0], prototype_channels, num_prototypes)

    def forward(
        self, x: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """As `MambaYOLOHead.forward`, then coefficients and prototypes.

        Returns:
            Class logits, distributions, (B, num_prototypes, H_i, W_i) of each level, and
            prototypes (B, num_prototypes, 2 H_0, 2 W_0).
        """
        levels = [level.permute(0, 2, 3, 1).contiguous() for level in x]  # (B, H, W, C)
        coefficients = run_towers(self.coefficient_towers, levels)
        return (*super().forward(x), coefficients, self.prototypes(levels[0]))

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        coefficients: Sequence[Tensor],
        prototypes: Tensor,
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],  # noqa: ARG002 - mmdet's signature
        batch_gt_instances_ignore: Sequence[InstanceData] | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """The head's losses and loss_mask; the objects have `masks`."""
        predictions = self.decode(cls_scores, bbox_preds)
        targets = self.targets(predictions, batch_gt_instances)
        losses = self.losses(predictions, targets)
        points = as_points(coefficients)  # (B, A, num_prototypes)
        total = prototypes.sum() * 0 + points.sum() * 0
        for i, gt in enumerate(batch_gt_instances):
            positive = targets.objects[i] >= 0
            if positive.any():
                logits = torch.einsum('pn,nhw->phw', points[i, positive], prototypes[i]).to(
                    predictions.boxes.dtype
                )
                total = total + _mask_loss(logits, gt, targets.objects[i, positive], self.strides)
        count = (targets.objects >= 0).sum().clamp(min=1)
        factor = self.mask_weight * len(targets.objects) * get_world_size()
        return {**losses, 'loss_mask': factor * total / count}

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        coefficients: Sequence[Tensor],
        prototypes: Tensor,
        batch_img_metas: Sequence[Mapping[str, Any]],
        cfg: Mapping[str, Any] | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """As `MambaYOLOHead.predict_by_feat`, with `masks` (N, H, W) cropped to their boxes."""
        predictions = self.decode(cls_scores, bbox_preds)
        points = as_points(coefficients)  # (B, A, num_prototypes)
        found = []
        for i, meta in enumerate(batch_img_metas):
            result, index = self.detect(predictions, i, cfg, with_nms)
            result = placed(result, meta, rescale)
            logits = torch.einsum('pn,nhw->phw', points[i, index], prototypes[i])
            stride = self.strides[0] // 2
            result.masks = _masks(logits.float(), result.bboxes, meta, stride, rescale)
            found.append(result)
        return found


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Whether the pixels of a grid have their centres in boxes (N, 4): (N, height, width)."""
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)  # 4 x (N, 1, 1)
    x = torch.arange(width, device=boxes.device) + 0.5
    y = (torch.arange(height, device=boxes.device) + 0.5)[:, None]
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def _mask_loss(logits: Tensor, gt: InstanceData, owner: Tensor, strides: Sequence[int]) -> Tensor:
    """The sum over positives of the mean cross entropy inside the object's box.

    logits (P, h, w); owner (P,) the positives' objects.
    """
    height, width = logits.shape[1:]
    masks = gt.masks.to_tensor(logits.dtype, logits.device)  # (G, H, W)
    goal = F.interpolate(masks[None], (height, width), mode='area')[0] > 0.5
    boxes = gt.bboxes / (strides[0] // 2)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    loss = F.binary_cross_entropy_with_logits(logits, goal[owner].to(logits), reduction='none')
    loss = (loss * inside(boxes, height, width)[owner]).sum(dim=(1, 2))  # (P,)
    return (loss / area[owner].clamp(min=1)).sum()


def _masks(
    logits: Tensor, boxes: Tensor, meta: Mapping[str, Any], stride: int, rescale: bool
) -> Tensor:
    """Masks (N, H, W) of logits (N, h, w): enlarged, freed of the padding, > 0 inside the boxes."""
    top, bottom, left, right = meta.get('pad_param', (0, 0, 0, 0)) if rescale else (0, 0, 0, 0)
    height, width = meta['img_shape'][:2]
    size = meta['ori_shape'][:2] if rescale else (height, width)
    parts = [logits.new_zeros((0, *size), dtype=torch.bool)]
    for some, where in zip(logits.split(CHUNK), boxes.split(CHUNK), strict=True):
        whole = [side * stride for side in some.shape[1:]]
        grown = F.interpolate(some[:, None], whole, mode='bilinear', align_corners=False)
        grown = grown[:, :, top : height - bottom, left : width - right]
        grown = F.interpolate(grown, size, mode='bilinear', align_corners=False)[:, 0]
        parts.append((grown > 0) & inside(where, *size))
    return torch.cat(parts)
