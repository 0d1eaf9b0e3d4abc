# mmdet's own, beside mamba-yolo-nano_nuclei.py: its data, steps and schedule
_base_ = [
    '../_base_/models/rtmdet_nano.py',
    '../_base_/datasets/nuclei_boxes.py',
    '../_base_/schedules/adamw_ema_short.py',
    '../_base_/default_runtime_det.py',
]
max_iters = 400
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=20, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
