# RTMDet of mmdet on a backbone of ours: a leaf says arch, neck.in_channels and the widths
_base_ = './rtmdet_nano.py'
sync = dict(type='SyncBN')
model = dict(
    backbone=dict(
        _delete_=True, type='mamba_dense.VMamba', arch='tiny_s1l8', out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[192, 384, 768], out_channels=192, num_csp_blocks=2, norm_cfg=sync),
    bbox_head=dict(
        num_classes=80, in_channels=192, feat_channels=192, exp_on_reg=True, norm_cfg=sync
    ),
)
