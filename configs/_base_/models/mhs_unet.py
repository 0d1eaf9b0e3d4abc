# MHS-UNet: VM-UNet's shape with multi-head scans
_base_ = './vm_unet.py'
arch = dict(base='four_heads')
model = dict(
    backbone=dict(type='mamba_dense.MHSVM', arch=arch),
    decode_head=dict(type='mamba_dense.MHSUNetHead', arch=arch),
)
