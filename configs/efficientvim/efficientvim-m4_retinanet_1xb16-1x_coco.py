# the authors report 38.8 AP; not repeated by us
_base_ = [
    '../_base_/models/retinanet_extended-fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_step_1x_2e-4.py',
    '../_base_/default_runtime_det.py',
]
# 1 process of 16
train_dataloader = dict(batch_size=16)
model = dict(
    # fetch the authors' classifier by hand and name it in init_cfg, as the read-me shows
    backbone=dict(arch='m4'),
    neck=dict(in_channels=[224, 320, 512]),
)
