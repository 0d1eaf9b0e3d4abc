# the authors report 47.4 box AP / 42.7 mask AP; not repeated by us
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm_tiny_0230_ckpt_epoch_262.pth'
)
model = dict(
    backbone=dict(
        arch='tiny_s2l5',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
