_base_ = [
    '../_base_/models/mamba_yolo.py',
    '../_base_/datasets/trees.py',
    '../_base_/schedules/adamw_ema_short.py',
    '../_base_/default_runtime_det.py',
]
widths = [32, 64, 128]
model = dict(
    backbone=dict(arch='nano'),
    neck=dict(in_channels=widths, state=4),
    bbox_head=dict(num_classes=1, in_channels=widths, image_size=192),
)
train_dataloader = dict(batch_size=8)
max_iters = 300
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=20, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
