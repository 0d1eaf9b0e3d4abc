# a network for three classes over patches of 32x16x32; a leaf names backbone and decoder
model = dict(
    type='mamba_dense.VolumeSegmentor',
    num_classes=3,
    loss=dict(type='mamba_dense.NnUNetLoss'),
    patch_size=[32, 16, 32],
    window_batch=8,
)
