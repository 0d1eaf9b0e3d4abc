# the authors report 47.3 / 48.3 mIoU (single scale / multi-scale and flip); not repeated by us
_base_ = [
    '../_base_/models/upernet_vmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v0cls/'
    'vssmtiny_dp01_ckpt_epoch_292.pth'
)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='vanilla_tiny',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
