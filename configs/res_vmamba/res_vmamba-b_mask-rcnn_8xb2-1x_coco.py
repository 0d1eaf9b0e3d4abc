# no result is published; the recipe is that of VMamba's first generation
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
model = dict(
    backbone=dict(type='mamba_dense.ResVMamba', arch='base', drop_path_rate=0.2),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
