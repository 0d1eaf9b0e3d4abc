_base_ = [
    '../_base_/models/monai_unet_2d.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[30.0, 30.0, 30.0],
        std=[25.0, 25.0, 25.0],
        size_divisor=8,
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(channels=(8, 16, 32, 68), strides=(2, 2, 2), out_channels=2),
    decode_head=dict(
        in_channels=2,
        num_classes=2,
        loss_decode=dict(_delete_=True, type='mamba_dense.NnUNetLoss', batch_dice=True),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)
randomness = dict(seed=0)
