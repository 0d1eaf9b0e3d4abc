# xLSTM-UNet over volumes, nano; a leaf names the variant, its widths and patch
arch = 'nano'
widths = [8, 16, 32, 64]
model = dict(
    type='mamba_dense.VolumeSegmentor',
    backbone=dict(type='mamba_dense.XLSTMEncoder', arch=arch, spatial_dims=3, in_channels=1),
    decoder=dict(
        type='mamba_dense.XLSTMDecoder',
        arch=arch,
        spatial_dims=3,
        in_channels=widths,
        num_classes=3,
        deep_supervision=True,
    ),
    num_classes=3,
    # halved from map to map, the coarsest left out
    supervision=[2 / 3, 1 / 3, 0.0],
    loss=dict(type='mamba_dense.NnUNetLoss'),
    patch_size=[48, 48, 48],
    window_batch=4,
)
