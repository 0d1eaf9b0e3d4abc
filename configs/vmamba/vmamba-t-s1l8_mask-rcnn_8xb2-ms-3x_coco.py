# the authors report 48.8 box AP / 43.7 mask AP; not repeated by us
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/adamw_step_3x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm1_tiny_0230s_ckpt_epoch_264.pth'
)
model = dict(
    backbone=dict(
        arch='tiny_s1l8',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
