_base_ = [
    '../_base_/models/xlstm_unet_nano_volumes.py',
    '../_base_/datasets/brain_disturbed.py',
    '../_base_/schedules/adamw_cosine_cases_800.py',
    '../_base_/default_runtime_cases.py',
]
model = dict(patch_size=[48, 32, 48], window_batch=2)
randomness = dict(seed=0)
