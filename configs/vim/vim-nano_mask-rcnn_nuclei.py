# VMamba nano's data, heads and steps with Vim: one map of stride 8 and a pyramid made of it
_base_ = '../vmamba/vmamba-nano_mask-rcnn_nuclei.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mamba_dense.Vim',
        arch='nano',
        img_size=192,
        rotary=True,
        out_indices=(7,),
    ),
    neck=dict(
        _delete_=True,
        type='mamba_dense.SimpleFeaturePyramid',
        in_channels=[64],
        out_channels=64,
        scales=(2, 1, 0.5, 0.25),
    ),
)
