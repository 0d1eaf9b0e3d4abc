_base_ = [
    '../_base_/models/monai_unet_2d.py',
    '../_base_/datasets/brain_slices.py',
    '../_base_/schedules/adamw_cosine_slices.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(mean=[170.0, 170.0, 170.0], std=[40.0, 40.0, 40.0]),
    test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(96, 96)),
)
randomness = dict(seed=0)
