_base_ = [
    '../_base_/models/mask-rcnn_vmamba.py',
    '../_base_/datasets/nuclei_instances.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime_det.py',
]
# GroupNorm: from scratch, with small batches; nuclei are 10 to 40 pixels wide
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
roi = dict(out_channels=64)
model = dict(
    data_preprocessor=dict(mean=[30.0, 30.0, 30.0], std=[25.0, 25.0, 25.0]),
    backbone=dict(arch='nano'),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=norm_cfg),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=roi,
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=roi,
        mask_head=dict(in_channels=64, conv_out_channels=64, num_classes=1, norm_cfg=norm_cfg),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))
    ),
)
max_iters = 200
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=20, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=50)
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
