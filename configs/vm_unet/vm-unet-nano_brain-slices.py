_base_ = [
    '../_base_/models/vm_unet.py',
    '../_base_/datasets/brain_slices.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
arch = dict(base='vanilla_tiny', dims=(48, 96, 192, 384), depths=(1, 1, 1, 1), drop_path_rate=0.0)
model = dict(
    data_preprocessor=dict(mean=[80.0, 80.0, 80.0], std=[80.0, 80.0, 80.0]),
    backbone=dict(arch=arch),
    decode_head=dict(
        in_channels=[48, 96, 192, 384],
        arch=arch,
        depths=(1, 1, 1, 1),
        drop_path_rate=0.0,
        num_classes=3,
        out_channels=3,
        threshold=None,
        loss_decode=dict(_delete_=True, type='mamba_dense.CeDiceLoss'),
    ),
)
randomness = dict(seed=0)
