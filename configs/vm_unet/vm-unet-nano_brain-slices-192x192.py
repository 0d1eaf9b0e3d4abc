_base_ = [
    '../_base_/models/vm_unet.py',
    '../_base_/datasets/brain_slices.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
arch = dict(base='vanilla_tiny', dims=(32, 64, 128, 256), depths=(1, 1, 1, 1))
model = dict(
    data_preprocessor=dict(mean=[45.0, 45.0, 45.0], std=[80.0, 80.0, 80.0]),
    backbone=dict(arch=arch, drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        arch=arch,
        depths=(1, 1, 1, 1),
        drop_path_rate=0.0,
        num_classes=3,
        out_channels=None,
        threshold=None,
        loss_decode=dict(_delete_=True, type='mamba_dense.CeDiceLoss'),
    ),
)
randomness = dict(seed=0)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(val_interval=200)
