_base_ = [
    '../_base_/models/vm_unet.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
arch = dict(base='vanilla_tiny', dims=(32, 64, 128, 256), depths=(1, 1, 1, 1))
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0]),
    backbone=dict(arch=arch, drop_path_rate=0.05),
    decode_head=dict(
        in_channels=[32, 64, 128, 256], arch=arch, depths=(1, 1, 1, 1), drop_path_rate=0.05
    ),
)
randomness = dict(seed=0)
