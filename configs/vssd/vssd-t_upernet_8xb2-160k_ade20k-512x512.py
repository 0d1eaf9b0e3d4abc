# the authors report 47.9 / 48.7 mIoU (single scale / multi-scale and flip); not repeated by us
_base_ = [
    '../_base_/models/upernet_vssd.py',
    '../_base_/datasets/ade20k_tta_box.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
checkpoint = 'https://huggingface.co/YuhengSSS/VSSD/resolve/main/vssd_tiny_best_ema.pth'
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='tiny',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
