# UPerNet on EfficientVMamba: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(
    backbone=dict(type='mamba_dense.EfficientVMamba', arch='tiny'),
    decode_head=dict(in_channels=[48, 96, 192, 384]),
    auxiliary_head=dict(in_channels=192),
)
