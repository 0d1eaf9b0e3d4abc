# the paper reports 38.9 / 39.3 mIoU (single scale / multi-scale); not repeated by us
_base_ = [
    '../_base_/models/upernet_efficientvmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
# starts from an ImageNet classifier, see the read-me: backbone.init_cfg=Pretrained with your file
# the head's width is the one that the published count of parameters leaves room for
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(arch='tiny'),
    decode_head=dict(in_channels=[48, 96, 192, 384], channels=256),
    auxiliary_head=dict(in_channels=192),
)
