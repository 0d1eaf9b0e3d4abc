_base_ = [
    '../_base_/models/volume_segmentor.py',
    '../_base_/datasets/brain.py',
    '../_base_/schedules/adamw_cosine_cases_800.py',
    '../_base_/default_runtime_cases.py',
]
model = dict(
    backbone=dict(
        type='monai.networks.nets.UNet',
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=(8, 16, 48, 160),
        strides=(1, 2, 2),
        num_res_units=1,
    ),
)
randomness = dict(seed=0)
