# no published result on ADE20K: the recipe of its sisters, drop path as in its classification
_base_ = [
    '../_base_/models/upernet_vmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
    'vssm1_small_0229s_ckpt_epoch_240.pth'
)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='small_s1l20',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
