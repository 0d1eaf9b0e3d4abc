# for MHS-UNet on the bundled brain's slices: its gradients are large at first, so they are clipped
_base_ = './adamw_cosine_slices.py'
max_iters = 1000
warmup = 20
optim_wrapper = dict(optimizer=dict(lr=3e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=warmup, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
