_base_ = [
    '../_base_/models/monai_unet_2d.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0]),
    backbone=dict(out_channels=1),
    decode_head=dict(
        in_channels=1,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type='mamba_dense.BceDiceLoss'),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)
randomness = dict(seed=0)
