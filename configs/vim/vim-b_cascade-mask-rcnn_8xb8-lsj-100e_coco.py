# no published result; the authors' layer-wise decay of this size is 0.7
_base_ = [
    '../_base_/models/cascade-mask-rcnn_vim.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/adamw_step_lsj_100e.py',
    '../_base_/default_runtime_det.py',
]
log_processor = dict(by_epoch=False)
# the authors publish folders: fetch the classifier's file by hand and name it in init_cfg
model = dict(backbone=dict(arch='base'), neck=dict(in_channels=[768]))
rate = 0.7
layers = {f'backbone.blocks.{i}.': dict(lr_mult=rate ** (24 - i)) for i in range(24)}
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            **layers,
            'backbone.stem': dict(lr_mult=rate**25),
            'backbone.stem.pos_embed': dict(lr_mult=rate**25),
            'backbone.stem.cls': dict(lr_mult=rate**25),
        }
    )
)
