# no published result by this schedule for certain: the paper names none, and the authors' config of
# this variant is the longer one
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x_amp.py',
    '../_base_/default_runtime_det.py',
]
# 4 processes of 4
train_dataloader = dict(batch_size=4)
# starts from an ImageNet classifier, see the read-me: backbone.init_cfg=Pretrained with your file
model = dict(
    backbone=dict(type='mamba_dense.EfficientVMamba', arch='base'),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
