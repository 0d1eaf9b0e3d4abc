_base_ = [
    '../_base_/models/changemamba_nano.py',
    '../_base_/datasets/scenes_scd.py',
    '../_base_/schedules/adamw_cosine_scenes.py',
    '../_base_/default_runtime_change.py',
]
model = dict(type='mamba_dense.MambaSCD', decode_head=dict(channels=48))
randomness = dict(seed=0)
