# the authors report 48.4 box AP / 43.5 mask AP; not repeated by us
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = 'https://huggingface.co/YuhengSSS/VSSD/resolve/main/vssd_small_best_ema.pth'
model = dict(
    backbone=dict(
        type='mamba_dense.VSSD',
        arch='small',
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
