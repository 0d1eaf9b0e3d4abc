# no published result: the recipe of the tiny variant
_base_ = [
    '../_base_/models/upernet_vim.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_60k.py',
    '../_base_/default_runtime.py',
]
# 4 processes of 8; the authors' layer-wise decay reaches the patches and positions alone
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.1),
    paramwise_cfg=dict(custom_keys={'backbone.stem': dict(lr_mult=0.92**25)}),
)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    # the authors publish folders: fetch the classifier's file by hand and name
    # it in init_cfg, as the read-me shows
    backbone=dict(
        arch='tiny_stride8',
        feature='hidden',
        drop_path_rate=0.1,
    ),
    decode_head=dict(in_channels=[192, 192, 192, 192], channels=192),
    auxiliary_head=dict(in_channels=192),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
