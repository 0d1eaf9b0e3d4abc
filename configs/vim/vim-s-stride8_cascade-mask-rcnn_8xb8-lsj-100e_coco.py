# no published result
_base_ = [
    '../_base_/models/cascade-mask-rcnn_vim.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/adamw_step_lsj_100e.py',
    '../_base_/default_runtime_det.py',
]
log_processor = dict(by_epoch=False)
# the authors publish folders: fetch the classifier's file by hand and name it in init_cfg
model = dict(
    backbone=dict(arch='small_stride8'), neck=dict(in_channels=[384], scales=(2, 1, 0.5, 0.25))
)
