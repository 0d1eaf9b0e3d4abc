# L, the paper's final version, whose code was not released
_base_ = [
    '../_base_/models/mamba_yolo.py',
    '../_base_/datasets/coco_mosaic.py',
    '../_base_/schedules/sgd_ema_300e.py',
    '../_base_/default_runtime_det.py',
]
widths = [192, 384, 576]
model = dict(
    backbone=dict(arch='aaai_large'),
    neck=dict(in_channels=widths, scans=2, with_lsblock=False),
    bbox_head=dict(in_channels=widths),
)
