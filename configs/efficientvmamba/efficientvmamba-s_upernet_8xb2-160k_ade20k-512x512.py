# the paper reports 41.5 / 42.1 mIoU (single scale / multi-scale); not repeated by us
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
    backbone=dict(arch='small'),
    decode_head=dict(in_channels=[64, 128, 256, 512], channels=384),
    auxiliary_head=dict(in_channels=256),
)
