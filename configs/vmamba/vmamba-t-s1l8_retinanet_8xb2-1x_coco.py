# no published result; the recipe of Mask R-CNN 1x
_base_ = [
    '../_base_/models/retinanet_vmamba.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm1_tiny_0230s_ckpt_epoch_264.pth'
)
model = dict(
    # the pyramid does not read the first stage
    backbone=dict(
        arch='tiny_s1l8',
        drop_path_rate=0.2,
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[192, 384, 768], start_level=0),
)
