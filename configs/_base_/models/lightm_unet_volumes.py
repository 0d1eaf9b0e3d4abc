# LightM-UNet over volumes, the released network: background, liver, tumour
model = dict(
    type='mamba_dense.VolumeSegmentor',
    backbone=dict(type='mamba_dense.LightMEncoder', arch='base', spatial_dims=3, in_channels=1),
    decoder=dict(
        type='mamba_dense.LightMDecoder',
        in_channels=[32, 64, 128, 256],
        num_classes=3,
        spatial_dims=3,
    ),
    num_classes=3,
    loss=dict(type='mamba_dense.NnUNetLoss', batch_dice=True),
    patch_size=[128, 128, 128],
)
