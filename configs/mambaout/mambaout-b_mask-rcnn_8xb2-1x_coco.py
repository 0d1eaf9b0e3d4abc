# the paper reports 47.4 box AP / 43.0 mask AP; not repeated by us
# (it says 12 epochs, AdamW 1e-4, batch 16 and fp16; the rest is as its parent codes have it)
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x_amp.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = 'https://github.com/yuweihao/MambaOut/releases/download/model/mambaout_base.pth'
model = dict(
    backbone=dict(
        type='mamba_dense.MambaOut',
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[128, 256, 512, 768]),
)
