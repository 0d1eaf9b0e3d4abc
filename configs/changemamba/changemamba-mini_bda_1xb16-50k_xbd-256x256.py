_base_ = [
    '../_base_/models/changemamba_mini.py',
    '../_base_/datasets/xbd.py',
    '../_base_/schedules/adamw_change_bda.py',
    '../_base_/default_runtime_change.py',
]
model = dict(type='mamba_dense.MambaBDA')
