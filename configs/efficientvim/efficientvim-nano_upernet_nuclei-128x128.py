_base_ = [
    '../_base_/models/upernet_efficientvim.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
# GroupNorm in the heads; the backbone's batch norms see 8 crops
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0], size=(128, 128)),
    backbone=dict(arch='nano'),
    decode_head=dict(in_channels=[32, 64, 96], channels=64, num_classes=2, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=64, channels=32, num_classes=2, norm_cfg=norm_cfg),
)
randomness = dict(seed=0)
