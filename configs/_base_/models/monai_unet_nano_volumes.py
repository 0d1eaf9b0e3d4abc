# MONAI's residual U-Net over volumes: 0.4 M parameters
_base_ = './volume_segmentor.py'
model = dict(
    backbone=dict(
        type='monai.networks.nets.UNet',
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=[8, 16, 48, 160],
        strides=[1, 2, 2],
        num_res_units=1,
    ),
)
