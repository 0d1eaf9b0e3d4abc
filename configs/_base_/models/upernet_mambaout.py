# UPerNet on MambaOut: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(
    backbone=dict(_delete_=True, type='mamba_dense.MambaOut', arch='tiny'),
    decode_head=dict(in_channels=[96, 192, 384, 576]),
    auxiliary_head=dict(in_channels=384),
)
