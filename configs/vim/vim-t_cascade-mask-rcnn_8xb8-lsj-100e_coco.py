# the authors report 45.7 box AP, and 39.2 mask AP (quoted, no second source); not repeated by us
_base_ = [
    '../_base_/models/cascade-mask-rcnn_vim.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/adamw_step_lsj_100e.py',
    '../_base_/default_runtime_det.py',
]
log_processor = dict(by_epoch=False)
# the authors publish folders: fetch the classifier's file by hand and name it in init_cfg
model = dict(backbone=dict(arch='tiny'), neck=dict(in_channels=[192]))
