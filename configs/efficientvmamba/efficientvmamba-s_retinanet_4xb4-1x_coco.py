# the paper reports 39.1 AP; not repeated by us
# (it publishes no recipe: this is that of Mask R-CNN)
_base_ = [
    '../_base_/models/retinanet_vmamba.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_step_1x_amp.py',
    '../_base_/default_runtime_det.py',
]
# 4 processes of 4
train_dataloader = dict(batch_size=4)
# starts from an ImageNet classifier, see the read-me: backbone.init_cfg=Pretrained with your file
model = dict(
    # the pyramid does not read the first stage
    backbone=dict(type='mamba_dense.EfficientVMamba', arch='small', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[128, 256, 512], start_level=0),
)
