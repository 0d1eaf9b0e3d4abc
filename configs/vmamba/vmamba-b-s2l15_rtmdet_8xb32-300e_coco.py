# no published result; mmdet's recipe of RTMDet
_base_ = [
    '../_base_/models/rtmdet_vmamba.py',
    '../_base_/datasets/coco_mosaic_rtmdet.py',
    '../_base_/schedules/adamw_flat_cosine_300e.py',
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
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[256, 512, 1024], out_channels=256),
    bbox_head=dict(in_channels=256, feat_channels=256),
)
