_base_ = [
    '../_base_/models/xlstm_unet.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0]))
randomness = dict(seed=0)
