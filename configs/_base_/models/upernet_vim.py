# UPerNet on Vim: a leaf says arch, feature, the heads' in_channels, channels and num_classes
_base_ = './upernet_vmamba.py'
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True,
        type='mamba_dense.Vim',
        arch='tiny',
        img_size=512,
        pyramid=True,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(in_channels=[192, 192, 192, 192], channels=192),
    auxiliary_head=dict(in_channels=192),
)
