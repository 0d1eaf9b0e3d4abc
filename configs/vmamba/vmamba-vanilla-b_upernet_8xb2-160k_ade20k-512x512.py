# the authors report 50.0 / 51.3 mIoU (single scale / multi-scale and flip); not repeated by us
# (their downstream runs started from a dp05 file; this is the dp06 one, which they list)
_base_ = [
    '../_base_/models/upernet_vmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v0cls/'
    'vssmbase_dp06_ckpt_epoch_241.pth'
)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        arch='vanilla_base',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
