# UPerNet on MSVMamba: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(
    backbone=dict(
        _delete_=True, type='mamba_dense.MSVMamba', arch='tiny', out_indices=(0, 1, 2, 3)
    ),
)
