# LightM-UNet, small, over volumes: 0.4 M parameters
_base_ = './volume_segmentor.py'
widths = [16, 32, 56, 88]
model = dict(
    backbone=dict(
        type='mamba_dense.LightMEncoder',
        arch=dict(base='nano', dims=widths, depths=[1, 1, 1, 2]),
        spatial_dims=3,
        in_channels=1,
    ),
    decoder=dict(
        type='mamba_dense.LightMDecoder', spatial_dims=3, in_channels=widths, num_classes=3
    ),
)
