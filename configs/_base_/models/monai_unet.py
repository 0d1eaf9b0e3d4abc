# MONAI's residual U-Net, as a whole network; the full resolution is kept by the first stage
patch_size = [32, 32, 32]
model = dict(
    type='mamba_dense.VolumeSegmentor',
    backbone=dict(
        type='monai.networks.nets.UNet',
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=[8, 16, 32, 64],
        strides=[1, 2, 2],
        num_res_units=1,
        norm='INSTANCE',
        act='LEAKYRELU',
    ),
    num_classes=3,
    loss=dict(type='mamba_dense.NnUNetLoss'),
    patch_size=patch_size,
    window_batch=4,
)
