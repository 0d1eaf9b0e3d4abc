"""A small Mamba-YOLO and pictures with objects for the tests of detection."""

from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (32, 64, 128)


def config(*, masks, score_thr=0.001, classes=2):
    """The nano detector of two classes, or its mask variant, as a plain dict."""
    head = dict(
        type='mamba_dense.MambaYOLOHead', num_classes=classes, in_channels=WIDTHS, image_size=64
    )
    neck = dict(type='mamba_dense.MambaYOLOPAFPN', in_channels=WIDTHS, state=4)
    if masks:
        head |= dict(type='mamba_dense.MambaYOLOMaskHead', num_prototypes=8, prototype_channels=16)
        neck |= dict(block='odss')
    return dict(
        type='mamba_dense.MambaYOLODetector',
        backbone=dict(type='mamba_dense.MambaYOLO', arch='nano', out_indices=(1, 2, 3)),
        neck=neck,
        bbox_head=head,
        test_cfg=dict(score_thr=score_thr),
    )


def image_batch(count, *, masks=False, objects=3, side=64):
    """Pictures (count, 3, side, side) and their data samples, the same ones at each call."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, side, side, generator=generator)
    samples = []
    for _ in range(count):
        corner = torch.rand(objects, 2, generator=generator) * side / 2
        size = torch.rand(objects, 2, generator=generator) * side / 4 + 8
        boxes = torch.cat([corner, corner + size], dim=1)
        gt = InstanceData(bboxes=boxes, labels=torch.arange(objects) % 2)
        if masks:
            planes = np.zeros((objects, side, side), np.uint8)
            for plane, (left, top, right, bottom) in zip(planes, boxes.int().tolist(), strict=True):
                plane[top:bottom, left:right] = 1
            gt.masks = BitmapMasks(planes, side, side)
        meta = dict(
            img_shape=(side, side),
            batch_input_shape=(side, side),
            pad_shape=(side, side),
            ori_shape=(30, 28),
            scale_factor=(2.0, 2.0),
            pad_param=(2, 2, 4, 4),
        )
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = gt
        samples.append(sample)
    return images, samples
