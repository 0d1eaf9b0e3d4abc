# UPerNet on VSSD: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(
    backbone=dict(_delete_=True, type='mamba_dense.VSSD', arch='tiny', out_indices=(0, 1, 2, 3)),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
