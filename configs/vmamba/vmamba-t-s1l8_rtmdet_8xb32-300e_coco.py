# no published result; mmdet's recipe of RTMDet
_base_ = [
    '../_base_/models/rtmdet_vmamba.py',
    '../_base_/datasets/coco_mosaic_rtmdet.py',
    '../_base_/schedules/adamw_flat_cosine_300e.py',
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
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[192, 384, 768], out_channels=192),
    bbox_head=dict(in_channels=192, feat_channels=192),
)
