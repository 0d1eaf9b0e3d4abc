_base_ = [
    '../_base_/models/mhs_unet_nano_slices.py',
    '../_base_/datasets/brain_slices.py',
    '../_base_/schedules/adamw_cosine_slices_1000.py',
    '../_base_/default_runtime.py',
]
randomness = dict(seed=0)
