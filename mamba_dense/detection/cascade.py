"""Cascade R-CNN with one mask head, as ViTDet trains it; mmdet's has a mask head for each stage."""

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

from mamba_dense.registry import MODELS


class ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx, x: Tensor, factor: float) -> Tensor:
        """x as it is."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        """The gradient of x."""
        return grad * ctx.factor, None


@MODELS.register_module()
class OneMaskCascadeRoIHead(CascadeRoIHead):
    """mmdet's CascadeRoIHead with one mask head, and features that see the stages' mean gradient.

    The stages' losses are added (`stage_loss_weights` of 1), and what they send back to the
    feature maps is divided by their number. The mask head learns on the proposals of the first
    stage and predicts in the boxes of the last one. Source: Cascade R-CNN (arXiv 1906.09756) as
    ViTDet (arXiv 2203.16527) uses it. Arguments as mmdet's; `mask_head` is one.
    """

    def init_mask_head(self, mask_roi_extractor: dict, mask_head: dict) -> None:
        """Build the one mask head and what cuts its features out."""
        self.share_roi_extractor = False
        self.mask_roi_extractor = nn.ModuleList([MODELS.build(mask_roi_extractor)])
        self.mask_head = nn.ModuleList([MODELS.build(mask_head)])

    def bbox_loss(self, stage: int, x: tuple[Tensor, ...], sampling_results: list) -> dict:
        """A stage's box losses on x (B, C, H_i, W_i), with its share of the maps' gradient."""
        x = tuple(ScaledGradient.apply(y, 1 / self.num_stages) for y in x)
        return super().bbox_loss(stage, x, sampling_results)

    def mask_loss(
        self, stage: int, x: tuple[Tensor, ...], sampling_results: list, batch_gt_instances: list
    ) -> dict:
        """The mask head's loss at the first stage, none at the others."""
        if stage:
            return {'loss_mask': {}}
        return super().mask_loss(stage, x, sampling_results, batch_gt_instances)

    def _mask_forward(self, stage: int, x: tuple[Tensor, ...], rois: Tensor) -> dict:
        return super()._mask_forward(stage % len(self.mask_head), x, rois)

    def predict_mask(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        results_list: list,
        rescale: bool = False,
    ) -> list:
        """Masks of the boxes in `results_list`, added to it."""
        rois = bbox2roi([found.bboxes for found in results_list])
        if not len(rois):
            return super().predict_mask(x, batch_img_metas, results_list, rescale)
        masks = self._mask_forward(0, x, rois)['mask_preds']
        return self.mask_head[0].predict_by_feat(
            mask_preds=masks.split([len(found) for found in results_list]),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )
