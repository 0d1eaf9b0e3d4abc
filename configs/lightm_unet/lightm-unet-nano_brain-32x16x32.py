_base_ = [
    '../_base_/models/volume_segmentor.py',
    '../_base_/datasets/brain.py',
    '../_base_/schedules/adamw_cosine_cases_800.py',
    '../_base_/default_runtime_cases.py',
]
arch = dict(base='nano', dims=(16, 32, 56, 88), depths=(1, 1, 1, 2))
model = dict(
    backbone=dict(type='mamba_dense.LightMEncoder', arch=arch, spatial_dims=3, in_channels=1),
    decoder=dict(
        type='mamba_dense.LightMDecoder',
        spatial_dims=3,
        in_channels=(16, 32, 56, 88),
        num_classes=3,
    ),
)
randomness = dict(seed=0)
