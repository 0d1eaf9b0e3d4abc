"""Task-aligned assignment as YOLO's networks have it (TOOD, arXiv 2108.07755, with differences)."""

from dataclasses import dataclass

import torch
from mmdet.models.task_modules import AssignResult, BaseAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from mamba_dense.detection.loss import complete_iou
from mamba_dense.registry import TASK_UTILS

INSIDE = 1e-9


@dataclass(frozen=True)
class Alignment:
    """How points and the objects of one image fit; all (G, A).

    overlap: CIoU, at least 0, where the point lies inside the box, else 0.
    metric: score^alpha * overlap^beta there.
    candidate: among the best of the object and inside its box.
    """

    overlap: Tensor
    metric: Tensor
    candidate: Tensor


@TASK_UTILS.register_module()
class InsideTaskAlignedAssigner(BaseAssigner):
    """Each object takes the best aligned of the points inside its box.

    Against mmdet's TaskAlignedAssigner: the overlap is CIoU; the best are taken over all points,
    and only then those inside are kept, by a margin of 1e-9; a point that several objects take
    goes to the one of largest overlap among all objects, even to one that had not taken it.

    Args:
        topk: points an object may take.
        alpha: power of the score.
        beta: power of the overlap.
        eps: added to the largest metric of an object before dividing by it.
    """

    def __init__(self, topk: int = 10, alpha: float = 0.5, beta: float = 6.0, eps: float = 1e-9):
        if topk < 1:
            raise ValueError(f'topk={topk} must be at least 1.')
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.eps = eps

    def align(
        self, points: Tensor, boxes: Tensor, scores: Tensor, objects: Tensor, labels: Tensor
    ) -> Alignment:
        """Measure the points of an image against its objects.

        Args:
            points: (A, 2) in pixels.
            boxes: (A, 4) predicted there, left, top, right, bottom in pixels.
            scores: (A, classes) as probabilities.
            objects: (G, 4) boxes.
            labels: (G,) their classes.
        """
        x, y = points[None, :, 0], points[None, :, 1]  # (1, A)
        left, top, right, bottom = objects[:, None].unbind(-1)  # 4 x (G, 1)
        margin = torch.stack([x - left, y - top, right - x, bottom - y]).amin(dim=0)  # (G, A)
        inside = margin > INSIDE
        overlap = complete_iou(objects[:, None], boxes[None]).clamp(min=0) * inside
        metric = (scores.T[labels] * inside) ** self.alpha * overlap**self.beta
        best = metric.topk(min(self.topk, metric.shape[1]), dim=1).indices
        taken = torch.zeros_like(inside).scatter_(1, best, True)
        return Alignment(overlap, metric, taken & inside)

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,  # noqa: ARG002 - mmdet's signature
    ) -> AssignResult:
        """Objects of the points of one image.

        Args:
            pred_instances: `priors` (A, 2 or more) whose first two are the points in pixels,
                `bboxes` (A, 4) and `scores` (A, classes) as probabilities.
            gt_instances: `bboxes` (G, 4) and `labels` (G,).
            gt_instances_ignore: not used.

        Returns:
            `gt_inds` (A,): 0 for the background, else 1 + the object's index; `labels` (A,): -1 or
            the class; `max_overlaps` (A,); and the extra property `target_scores` (A,): what the
            class is to be scored.
        """
        objects, labels = gt_instances.bboxes, gt_instances.labels
        points = pred_instances.priors[:, :2]
        count = len(points)
        if len(objects) == 0:
            background = labels.new_zeros(count)
            none = pred_instances.bboxes.new_zeros(count)
            result = AssignResult(0, background, none, background - 1)
            result.set_extra_property('target_scores', none)
            return result
        fit = self.align(points, pred_instances.bboxes, pred_instances.scores, objects, labels)
        taken = fit.candidate
        several = taken.sum(dim=0) > 1  # (A,)
        largest = torch.zeros_like(taken)
        largest.scatter_(0, fit.overlap.argmax(dim=0, keepdim=True), True)
        taken = torch.where(several, largest, taken)
        found = taken.any(dim=0)  # (A,)
        owner = taken.int().argmax(dim=0)  # (A,)
        best_metric = (fit.metric * taken).amax(dim=1)  # (G,)
        best_overlap = (fit.overlap * taken).amax(dim=1)
        scale = best_overlap / (best_metric + self.eps)
        each = torch.arange(count, device=owner.device)
        target = fit.metric[owner, each] * scale[owner] * found
        result = AssignResult(
            len(objects),
            torch.where(found, owner + 1, 0),
            fit.overlap[owner, each] * found,
            torch.where(found, labels[owner], -1),
        )
        result.set_extra_property('target_scores', target)
        return result
