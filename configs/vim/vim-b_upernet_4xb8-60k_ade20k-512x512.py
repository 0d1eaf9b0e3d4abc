# no published result: the recipe of the small variant
_base_ = [
    '../_base_/models/upernet_vim.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_60k.py',
    '../_base_/default_runtime.py',
]
# 4 processes of 8; the authors' layer-wise decay reaches the patches and positions alone
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={'backbone.stem': dict(lr_mult=0.95**25)}),
)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    # the authors publish folders: fetch the classifier's file by hand and name
    # it in init_cfg, as the read-me shows
    backbone=dict(
        arch='base',
        feature='residual',
        rotary=True,
        drop_path_rate=0.1,
    ),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=768),
    auxiliary_head=dict(in_channels=768),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
