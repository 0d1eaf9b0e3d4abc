# the authors report 49.5 / 50.6 mIoU (single scale / multi-scale); not repeated by us
_base_ = [
    '../_base_/models/upernet_mambaout.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k_1e-4.py',
    '../_base_/default_runtime.py',
]
checkpoint = 'https://github.com/yuweihao/MambaOut/releases/download/model/mambaout_small.pth'
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='small',
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 576]),
    auxiliary_head=dict(in_channels=384),
)
