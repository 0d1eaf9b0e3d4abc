# twice the steps of adamw_cosine_cases.py
_base_ = './adamw_cosine_cases.py'
max_iters = 800
warmup = 30
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=warmup, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=400)
