_base_ = [
    '../_base_/models/changemamba_base.py',
    '../_base_/datasets/second.py',
    '../_base_/schedules/adamw_change_scd.py',
    '../_base_/default_runtime_change.py',
]
model = dict(type='mamba_dense.MambaSCD')
