# the mask variant n, experimental: no figures and no recipe were published
_base_ = [
    '../_base_/models/mamba_yolo.py',
    '../_base_/datasets/coco_letterbox_instance.py',
    '../_base_/schedules/sgd_ema_300e.py',
    '../_base_/default_runtime_det.py',
]
widths = [64, 128, 256]
model = dict(
    data_preprocessor=dict(pad_mask=True),
    backbone=dict(arch='tiny'),
    neck=dict(in_channels=widths, block='odss'),
    bbox_head=dict(
        _delete_=True,
        type='mamba_dense.MambaYOLOMaskHead',
        num_classes=80,
        in_channels=widths,
        prototype_channels=64,
    ),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.001))
