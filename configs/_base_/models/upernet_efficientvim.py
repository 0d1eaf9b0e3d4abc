# UPerNet on EfficientViM's three maps: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(
    backbone=dict(_delete_=True, type='mamba_dense.EfficientViM', arch='m4'),
    decode_head=dict(in_channels=[224, 320, 512], in_index=[0, 1, 2]),
    auxiliary_head=dict(in_channels=320, in_index=1),
)
