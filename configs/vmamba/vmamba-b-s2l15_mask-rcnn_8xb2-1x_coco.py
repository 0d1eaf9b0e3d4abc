# the authors report 49.2 box AP / 44.1 mask AP; not repeated by us
# (in batches of 8 images: 49.2 / 43.9)
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm_base_0229_ckpt_epoch_237.pth'
)
model = dict(
    backbone=dict(
        arch='base_s2l15',
        drop_path_rate=0.6,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
