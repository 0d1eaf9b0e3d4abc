# no published result; the recipe of Mask R-CNN 1x
_base_ = [
    '../_base_/models/retinanet_vmamba.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm_base_0229_ckpt_epoch_237.pth'
)
model = dict(
    # the pyramid does not read the first stage
    backbone=dict(
        arch='base_s2l15',
        drop_path_rate=0.6,
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[256, 512, 1024], start_level=0),
)
