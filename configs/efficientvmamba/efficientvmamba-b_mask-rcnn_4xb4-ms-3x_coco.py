# the paper reports 43.7 box AP / 40.2 mask AP; not repeated by us
# (it does not name the schedule; the authors' config of this variant is this one)
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/adamw_step_3x_amp.py',
    '../_base_/default_runtime_det.py',
]
# 4 processes of 4
train_dataloader = dict(batch_size=4)
# starts from an ImageNet classifier, see the read-me: backbone.init_cfg=Pretrained with your file
model = dict(
    backbone=dict(type='mamba_dense.EfficientVMamba', arch='base'),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
