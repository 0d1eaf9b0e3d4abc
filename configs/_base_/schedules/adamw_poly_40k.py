# EfficientViM's published recipe: AdamW 2e-4, weight decay 1e-4 on everything, no warm-up, poly 0.9
_base_ = './adamw_poly_160k.py'
max_iters = 40000
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-6, power=0.9, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
