"""Mamba-YOLO's records of functions: assignment, loss with its gradients, NMS."""

from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ..detection.assigner import InsideTaskAlignedAssigner
from ..detection.head import MambaYOLOHead
from ..detection.postprocess import select
from .record import Record
from .subject import Arguments, Outputs, Subject, UnsupportedError, differentiable

LEVELS = ('p3', 'p4', 'p5')


def build_assignment(record: Record) -> Subject:
    """`TaskAlignedAssigner` on a batch whose objects are padded to equal numbers."""
    arguments = Arguments(record)
    arguments.ignore('num_classes')
    assigner = InsideTaskAlignedAssigner(
        arguments.take('topk'),
        arguments.take('alpha'),
        arguments.take('beta'),
        arguments.take('eps'),
    )
    arguments.end()

    def one(image: tuple[Tensor, ...], points: Tensor) -> dict[str, Tensor]:
        scores, boxes, labels, objects, there = image
        there = there[:, 0].bool()
        labels = labels[:, 0].long()
        gt = InstanceData(bboxes=objects[there], labels=labels[there])
        fit = assigner.align(points, boxes, scores, gt.bboxes, gt.labels)
        found = InstanceData(priors=points, bboxes=boxes, scores=scores)
        result = assigner.assign(found, gt)
        # the authors' background points at the first object
        owner = torch.nonzero(there)[:, 0][(result.gt_inds - 1).clamp(min=0)]
        target = torch.zeros_like(scores)
        goal = result.get_extra_property('target_scores').to(scores)
        target.scatter_(1, labels[owner][:, None], goal[:, None])
        full = {
            'align_metric': fit.metric,
            'overlaps': fit.overlap,
            'topk_and_inside_mask': fit.candidate.to(scores),
        }
        rows = {
            name: value.new_zeros(len(there), value.shape[1]).index_put((there,), value)
            for name, value in full.items()
        }
        return {
            **rows,
            'target_labels': labels[owner],
            'target_bboxes': objects[owner],
            'target_scores': target,
            'fg_mask': result.gt_inds > 0,
            'target_gt_idx': owner,
        }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        scores, boxes, points, *objects = inputs
        images = [one(image, points) for image in zip(scores, boxes, *objects, strict=True)]
        return {name: torch.stack([image[name] for image in images]) for name in images[0]}

    return Subject(run)


def build_loss(record: Record) -> Subject:
    """`v8DetectionLoss`: the terms, what they were made of, and gradients of the raw maps."""
    arguments = Arguments(record)
    classes, bins = int(arguments.take('nc')), int(arguments.take('reg_max'))
    gains = {name: arguments.take(name) for name in ('box', 'cls', 'dfl')}
    options = {name: arguments.take(name) for name in ('topk', 'alpha', 'beta')}
    arguments.ignore('image_size')
    widths = (16,) * len(arguments.left['stride'])  # the towers are not run
    head = MambaYOLOHead(
        classes,
        widths,
        strides=tuple(arguments.take('stride')),
        reg_max=bins,
        loss_cls={
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'loss_weight': gains['cls'],
        },
        loss_bbox={'type': 'mamba_dense.CompleteIoULoss', 'loss_weight': gains['box']},
        loss_dfl={'type': 'mmdet.DistributionFocalLoss', 'loss_weight': gains['dfl']},
        train_cfg={'assigner': {'type': 'mamba_dense.InsideTaskAlignedAssigner', **options}},
    ).double()
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        with differentiable(inputs) as leaves:
            maps = leaves[:3]
            image, label, _, boxes = leaves[3:]
            batch = len(maps[0])
            objects = [
                InstanceData(
                    bboxes=boxes.detach()[image == i], labels=label.detach()[image == i].long()
                )
                for i in range(batch)
            ]
            pairs = [x.split([4 * bins, classes], dim=1) for x in maps]
            predictions = head.decode([p[1] for p in pairs], [p[0] for p in pairs])
            targets = head.targets(predictions, objects)
            losses = head.losses(predictions, targets)
            total = sum(losses.values())
            slopes = torch.autograd.grad(total, maps)
        found = {f'grad_{level}': slope for level, slope in zip(LEVELS, slopes, strict=True)}
        for ours, theirs in (('bbox', 'box'), ('cls', 'cls'), ('dfl', 'dfl')):
            found[f'loss_{theirs}'] = losses[f'loss_{ours}'] / batch
            found[f'ungained_{theirs}'] = found[f'loss_{theirs}'] / gains[theirs]
        return {
            **found,
            'loss_total_times_batch': total,
            'target_scores_sum': targets.total,
            'num_positive': (targets.objects >= 0).sum(),
            'fg_mask': targets.objects >= 0,
            'target_scores': targets.scores,
        }

    return Subject(run)


def build_nms(record: Record) -> Subject:
    """`non_max_suppression` under each of the settings that the arguments name."""
    settings: dict[str, dict[str, Any]] = {}
    for name, values in record.args.items():
        if values['agnostic']:
            raise UnsupportedError(f'{record.target}: agnostic=True is not built')
        settings[name] = {
            'score_thr': values['conf_thres'],
            'multi_label': values['multi_label'],
            'nms_pre': values['max_nms'],
            'iou_threshold': values['iou_thres'],
            'max_per_img': values['max_det'],
        }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        found = {}
        for number, image in enumerate(inputs[0].mT):  # (A, 4 + classes)
            centre, size = image[:, :2], image[:, 2:4]
            corners = torch.cat([centre - size / 2, centre + size / 2], dim=1)
            for name, options in settings.items():
                boxes, scores, labels, _ = select(corners, image[:, 4:], **options)
                rows = [boxes, scores[:, None], labels[:, None].to(boxes)]
                found[f'{name}_image{number}'] = torch.cat(rows, dim=1)
        return found

    return Subject(run)
