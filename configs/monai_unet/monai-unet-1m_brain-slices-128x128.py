_base_ = [
    '../_base_/models/monai_unet_2d.py',
    '../_base_/datasets/brain_slices.py',
    '../_base_/schedules/adamw_cosine_slices_1000.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(channels=(14, 28, 56, 112, 224)))
randomness = dict(seed=0)
