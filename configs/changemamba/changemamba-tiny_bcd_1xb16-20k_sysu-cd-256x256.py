_base_ = [
    '../_base_/models/changemamba_tiny.py',
    '../_base_/datasets/sysu_cd.py',
    '../_base_/schedules/adamw_change_bcd.py',
    '../_base_/default_runtime_change.py',
]
model = dict(type='mamba_dense.MambaBCD')
