# the authors report 48.5 box AP / 43.2 mask AP; not repeated by us
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/adamw_step_3x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v0cls/'
    'vssmtiny_dp01_ckpt_epoch_292.pth'
)
model = dict(
    backbone=dict(
        arch='vanilla_tiny',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
