_base_ = [
    '../_base_/models/volume_segmentor.py',
    '../_base_/datasets/brain.py',
    '../_base_/schedules/adamw_cosine_cases_800.py',
    '../_base_/default_runtime_cases.py',
]
model = dict(
    backbone=dict(type='mamba_dense.XLSTMEncoder', arch='nano', spatial_dims=3, in_channels=1),
    decoder=dict(
        type='mamba_dense.XLSTMDecoder',
        arch='nano',
        spatial_dims=3,
        in_channels=(8, 16, 32, 64),
        num_classes=3,
        deep_supervision=True,
    ),
    supervision=(2 / 3, 1 / 3, 0.0),
)
randomness = dict(seed=0)
