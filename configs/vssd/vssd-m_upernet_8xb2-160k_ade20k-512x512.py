# the authors report 45.6 / 46.0 mIoU (single scale / multi-scale and flip); not repeated by us
# their config is not public: drop path as in their detectors
_base_ = [
    '../_base_/models/upernet_vssd.py',
    '../_base_/datasets/ade20k_tta_box.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
checkpoint = 'https://huggingface.co/YuhengSSS/VSSD/resolve/main/vssd_micro_best.pth'
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='micro',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[48, 96, 192, 384]),
    auxiliary_head=dict(in_channels=192),
)
