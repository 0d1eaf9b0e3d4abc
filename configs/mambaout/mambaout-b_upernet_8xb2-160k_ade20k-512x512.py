# the authors report 49.6 / 51.0 mIoU (single scale / multi-scale); not repeated by us
_base_ = [
    '../_base_/models/upernet_mambaout.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k_1e-4.py',
    '../_base_/default_runtime.py',
]
checkpoint = 'https://github.com/yuweihao/MambaOut/releases/download/model/mambaout_base.pth'
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 768]),
    auxiliary_head=dict(in_channels=512),
)
