_base_ = [
    '../_base_/models/lightm_unet.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
widths = [8, 16, 32, 64]
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0]),
    backbone=dict(arch='nano'),
    decode_head=dict(decoder=dict(in_channels=widths), in_channels=widths),
)
randomness = dict(seed=0)
