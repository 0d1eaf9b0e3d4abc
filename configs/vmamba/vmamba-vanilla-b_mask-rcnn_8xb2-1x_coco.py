# the authors report 48.6 box AP / 43.3 mask AP; not repeated by us
# (their downstream runs started from a dp05 file; this is the dp06 one, which they list)
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_step_1x.py',
    '../_base_/default_runtime_det.py',
]
checkpoint = (
    'https://github.com/MzeroMiko/VMamba/releases/download/%23v0cls/'
    'vssmbase_dp06_ckpt_epoch_241.pth'
)
model = dict(
    backbone=dict(
        arch='vanilla_base',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
