# the authors report 47.7 box AP / 42.8 mask AP; not repeated by us
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/adamw_step_3x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = 'https://huggingface.co/YuhengSSS/VSSD/resolve/main/vssd_micro_best.pth'
model = dict(
    backbone=dict(
        type='mamba_dense.VSSD',
        arch='micro',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[48, 96, 192, 384]),
)
