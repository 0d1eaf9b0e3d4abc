_base_ = [
    '../_base_/models/xlstm_unet_nano_volumes.py',
    '../_base_/datasets/brain.py',
    '../_base_/schedules/adamw_cosine_cases.py',
    '../_base_/default_runtime_cases.py',
]
randomness = dict(seed=0)
