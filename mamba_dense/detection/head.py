"""Mamba-YOLO's head: decoupled, anchor-free, distances as distributions (arXiv 2406.05835).

The towers of boxes and classes share nothing. A side's distance is the mean of a distribution over
16 bins (arXiv 2006.04388). The losses are plain binary cross entropy against the assigner's target
scores, complete IoU, and the distributions' own; all three are multiplied by the number of images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import bbox2distance
from mmengine.config import ConfigDict
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mamba_dense.bricks import ChannelLastConv2d, ConvSiLU
from mamba_dense.detection.postprocess import clipped, select, to_original
from mamba_dense.registry import MODELS, TASK_UTILS

ASSIGNER = {'type': 'mamba_dense.InsideTaskAlignedAssigner'}
LOSS_CLS = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 0.5}
LOSS_BBOX = {'type': 'mamba_dense.CompleteIoULoss', 'loss_weight': 7.5}
LOSS_DFL = {'type': 'mmdet.DistributionFocalLoss', 'loss_weight': 1.5}
TEST_CFG = {
    'score_thr': 0.001,
    'multi_label': True,
    'nms_pre': 30000,
    'nms': {'type': 'nms', 'iou_threshold': 0.7},
    'max_per_img': 300,
}
# distances are kept this far below the last bin
MARGIN = 0.01


@dataclass(frozen=True)
class Predictions:
    """What the head says of all points of a batch, the levels one after another.

    logits: (B, A, classes); distributions: (B, A, 4 * bins); distances: (B, A, 4) in steps of the
    level; boxes: (B, A, 4) in pixels; priors: (A, 4) as x, y in pixels and the level's strides.
    """

    logits: Tensor
    distributions: Tensor
    distances: Tensor
    boxes: Tensor
    priors: Tensor


@dataclass(frozen=True)
class Targets:
    """What the points of a batch are to learn.

    objects: (B, A) the object's index in its image, or -1; scores: (B, A, classes);
    boxes: (B, A, 4) in pixels, zero for the background.
    """

    objects: Tensor
    scores: Tensor
    boxes: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of all target scores, at least 1."""
        return self.scores.sum().clamp(min=1)


class Distances(nn.Module):
    """The mean of each side's distribution; the bins' positions are constants of the weights."""

    def __init__(self, bins: int):
        super().__init__()
        self.project = nn.Parameter(torch.arange(float(bins)), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., sides * bins) as logits to (..., sides)."""
        x = x.unflatten(-1, (-1, len(self.project))).softmax(dim=-1)  # (..., sides, bins)
        return x @ self.project.to(x.dtype)


def tower(channels: int, hidden: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions and a plain 1x1 one with bias; (B, H, W, C) to (B, H, W, C')."""
    return nn.Sequential(
        ConvSiLU(channels, hidden, 3),
        ConvSiLU(hidden, hidden, 3),
        ChannelLastConv2d(hidden, out_channels, 1),
    )


@MODELS.register_module()
class MambaYOLOHead(BaseDenseHead):
    """A tower for boxes and one for classes on each level.

    Args:
        num_classes: number of classes.
        in_channels: widths of the levels, the finest first.
        strides: pixels between two points of each level.
        reg_max: bins of a side's distribution.
        image_size: side of the training images, for the start of the classes' biases.
        loss_cls, loss_bbox, loss_dfl: configs of the losses.
        train_cfg: may name the `assigner`.
        test_cfg: overrides `TEST_CFG`, the one for validation.
        init_cfg: as any mmengine module's.

    Raises:
        ValueError: `in_channels` and `strides` do not match, or test_cfg has an unknown key.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        *,
        strides: Sequence[int] = (8, 16, 32),
        reg_max: int = 16,
        image_size: int = 640,
        loss_cls: Mapping[str, Any] = LOSS_CLS,
        loss_bbox: Mapping[str, Any] = LOSS_BBOX,
        loss_dfl: Mapping[str, Any] = LOSS_DFL,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        if len(in_channels) != len(strides):
            raise ValueError(
                f'in_channels={tuple(in_channels)} and strides={tuple(strides)} of '
                f'{type(self).__name__} must name the same levels.'
            )
        unknown = sorted(set(test_cfg or ()) - set(TEST_CFG))
        if unknown:
            raise ValueError(f'test_cfg has unknown keys {unknown}; known: {", ".join(TEST_CFG)}.')
        self.num_classes = num_classes
        self.reg_max = reg_max
        self.train_cfg = train_cfg
        self.test_cfg = ConfigDict({**TEST_CFG, **(test_cfg or {})})
        self.strides = tuple(strides)
        first = in_channels[0]
        box, cls = max(16, first // 4, 4 * reg_max), max(first, min(num_classes, 100))
        self.box_towers = nn.ModuleList(tower(c, box, 4 * reg_max) for c in in_channels)
        self.cls_towers = nn.ModuleList(tower(c, cls, num_classes) for c in in_channels)
        self.distances = Distances(reg_max)
        for stride, boxes, classes in zip(strides, self.box_towers, self.cls_towers, strict=True):
            nn.init.constant_(boxes[-1].bias, 1.0)
            # some five objects in an image
            nn.init.constant_(
                classes[-1].bias, math.log(5 / num_classes / (image_size / stride) ** 2)
            )
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_dfl = MODELS.build(loss_dfl)
        self.assigner = TASK_UTILS.build((train_cfg or {}).get('assigner') or ASSIGNER)
        self.prior_generator = TASK_UTILS.build(
            {'type': 'mmdet.MlvlPointGenerator', 'strides': list(strides), 'offset': 0.5}
        )
        self.bbox_coder = TASK_UTILS.build(
            {'type': 'mmdet.DistancePointBBoxCoder', 'clip_border': False}
        )

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits and distributions of each level.

        Args:
            x: (B, in_channels[i], H_i, W_i) each.

        Returns:
            (B, num_classes, H_i, W_i) each, and (B, 4 * reg_max, H_i, W_i) each, channel
            side * reg_max + bin, sides left, top, right, bottom.
        """
        levels = [level.permute(0, 2, 3, 1).contiguous() for level in x]  # (B, H, W, C)
        return run_towers(self.cls_towers, levels), run_towers(self.box_towers, levels)

    def decode(self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor]) -> Predictions:
        """The maps of `forward` as points, their boxes decoded; in float32 at least."""
        dtype = torch.promote_types(cls_scores[0].dtype, torch.float32)
        sizes = [tuple(level.shape[2:]) for level in cls_scores]
        priors = self.prior_generator.grid_priors(
            sizes, dtype=dtype, device=cls_scores[0].device, with_stride=True
        )
        priors = torch.cat(priors)  # (A, 4)
        logits = as_points(cls_scores).to(dtype)
        distributions = as_points(bbox_preds).to(dtype)
        distances = self.distances(distributions)
        points = priors[:, :2].expand(len(logits), -1, -1)  # (B, A, 2)
        boxes = self.bbox_coder.decode(points, distances * priors[:, 2:3])
        return Predictions(logits, distributions, distances, boxes, priors)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],  # noqa: ARG002 - mmdet's signature
        batch_gt_instances_ignore: Sequence[InstanceData] | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """loss_cls, loss_bbox and loss_dfl of a batch; maps as `forward` returns them."""
        predictions = self.decode(cls_scores, bbox_preds)
        targets = self.targets(predictions, batch_gt_instances)
        return self.losses(predictions, targets)

    @torch.no_grad()
    def targets(
        self, predictions: Predictions, batch_gt_instances: Sequence[InstanceData]
    ) -> Targets:
        """Assign the objects of each image to its points."""
        scores = predictions.logits.sigmoid()
        wanted = torch.zeros_like(scores)
        boxes = torch.zeros_like(predictions.boxes)
        objects = scores.new_zeros(scores.shape[:2], dtype=torch.long)
        for i, gt in enumerate(batch_gt_instances):
            found = InstanceData(
                priors=predictions.priors, bboxes=predictions.boxes[i], scores=scores[i]
            )
            result = self.assigner.assign(found, gt)
            objects[i] = result.gt_inds - 1
            points = torch.nonzero(result.gt_inds, as_tuple=True)[0]
            goal = result.get_extra_property('target_scores')[points]
            wanted[i, points, result.labels[points]] = goal.to(scores.dtype)
            boxes[i, points] = gt.bboxes[objects[i, points]].to(boxes.dtype)
        return Targets(objects, wanted, boxes)

    def losses(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """The three losses, each times the number of images of all processes."""
        total = targets.total
        factor = len(targets.objects) * get_world_size()
        cls = self.loss_cls(
            predictions.logits.flatten(0, 1), targets.scores.flatten(0, 1), avg_factor=total
        )
        positive = targets.objects >= 0  # (B, A)
        weight = targets.scores.sum(dim=-1)[positive]  # (P,)
        if len(weight) == 0:
            none = predictions.distributions.sum() * 0
            return {'loss_cls': cls * factor, 'loss_bbox': none, 'loss_dfl': none}
        image, point = torch.nonzero(positive, as_tuple=True)
        stride = predictions.priors[point, 2:3]  # (P, 1)
        goal = targets.boxes[positive] / stride
        box = self.loss_bbox(predictions.boxes[positive] / stride, goal, weight, avg_factor=total)
        sides = bbox2distance(
            predictions.priors[point, :2] / stride, goal, self.reg_max - 1, MARGIN
        )  # (P, 4)
        dfl = self.loss_dfl(
            predictions.distributions[image, point].view(-1, self.reg_max),
            sides.flatten(),
            weight=weight[:, None].expand(-1, 4).flatten(),
            avg_factor=4 * total,
        )
        return {'loss_cls': cls * factor, 'loss_bbox': box * factor, 'loss_dfl': dfl * factor}

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        cfg: Mapping[str, Any] | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Detections of each image: `bboxes` (N, 4), `scores` (N,), `labels` (N,).

        Args:
            cls_scores, bbox_preds: maps as `forward` returns them.
            batch_img_metas: see `postprocess.to_original`.
            cfg: instead of the head's `test_cfg`.
            rescale: boxes in the picture that was read instead of the network's input.
            with_nms: False keeps what exceeds the threshold.
        """
        predictions = self.decode(cls_scores, bbox_preds)
        found = []
        for i, meta in enumerate(batch_img_metas):
            result, _ = self.detect(predictions, i, cfg, with_nms)
            found.append(placed(result, meta, rescale))
        return found

    def detect(
        self,
        predictions: Predictions,
        image: int,
        cfg: Mapping[str, Any] | None = None,
        with_nms: bool = True,
    ) -> tuple[InstanceData, Tensor]:
        """The detections of one image in the network's input, and their points (N,)."""
        options = {**self.test_cfg, **(cfg or {})}
        overlap = options.pop('nms')['iou_threshold'] if with_nms else 1.0
        options.pop('nms', None)
        boxes, scores, labels, points = select(
            predictions.boxes[image],
            predictions.logits[image].sigmoid(),
            iou_threshold=overlap,
            **options,
        )
        return InstanceData(bboxes=boxes, scores=scores, labels=labels), points


def placed(result: InstanceData, meta: Mapping[str, Any], rescale: bool) -> InstanceData:
    """Detections in the picture that was read (`rescale`), or clipped to the network's input."""
    if rescale:
        result.bboxes = to_original(result.bboxes, meta)
    elif 'img_shape' in meta:
        result.bboxes = clipped(result.bboxes, meta['img_shape'])
    return result


def as_points(levels: Sequence[Tensor]) -> Tensor:
    """Maps (B, C, H_i, W_i) as one row of points, each level row by row: (B, A, C)."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], dim=1)


def run_towers(towers: nn.ModuleList, levels: Sequence[Tensor]) -> list[Tensor]:
    """A tower on each level (B, H, W, C); results (B, C', H, W)."""
    pairs = zip(towers, levels, strict=True)
    return [module(level).permute(0, 3, 1, 2) for module, level in pairs]
