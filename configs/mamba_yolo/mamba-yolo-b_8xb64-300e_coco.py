# B (M in the authors' README), the released code
_base_ = [
    '../_base_/models/mamba_yolo.py',
    '../_base_/datasets/coco_mosaic.py',
    '../_base_/schedules/sgd_ema_300e.py',
    '../_base_/default_runtime_det.py',
]
widths = [128, 256, 512]
model = dict(
    backbone=dict(arch='base'),
    neck=dict(in_channels=widths, scans=1),
    bbox_head=dict(in_channels=widths),
)
