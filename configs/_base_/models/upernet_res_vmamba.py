# UPerNet on Res-VMamba: a leaf says arch, the heads' in_channels and num_classes
_base_ = './upernet_vmamba.py'
model = dict(backbone=dict(type='mamba_dense.ResVMamba', arch='tiny', drop_path_rate=0.3))
