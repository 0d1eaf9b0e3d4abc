_base_ = [
    '../_base_/models/upernet_vmamba.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
# GroupNorm: small batches, and the same function however a batch is spread over processes
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0], size=(128, 128)),
    backbone=dict(_delete_=True, type='mamba_dense.MobileMamba', arch='nano'),
    decode_head=dict(
        in_channels=[48, 64, 96],
        in_index=[0, 1, 2],
        channels=64,
        num_classes=2,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(in_channels=64, in_index=1, channels=32, num_classes=2, norm_cfg=norm_cfg),
)
randomness = dict(seed=0)
