# a network for three classes over patches of 32x16x32; a leaf names backbone and decoder
model = dict(
    type='mamba_dense.VolumeSegmentor',
    num_classes=3,
    loss=dict(type='mamba_dense.NnUNetLoss'),
    patch_size=[32, 16, 32],
    overlap=0.75,
    window_batch=8,
    mirror_axes=[0, 1, 2],
)
