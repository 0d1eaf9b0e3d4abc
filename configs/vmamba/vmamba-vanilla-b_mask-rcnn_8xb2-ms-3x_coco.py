# no published result on COCO by this schedule: the recipe of its sisters
# (their downstream runs started from a dp05 file; this is the dp06 one, which they list)
_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/adamw_step_3x.py',
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
