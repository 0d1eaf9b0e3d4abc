# the paper reports 46.5 / 47.3 mIoU (single scale / multi-scale); not repeated by us
_base_ = [
    '../_base_/models/upernet_efficientvmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
# starts from an ImageNet classifier, see the read-me: backbone.init_cfg=Pretrained with your file
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
