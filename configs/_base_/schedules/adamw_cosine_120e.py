# adamw_cosine_1x over 120 epochs at 2.4e-3, for batches of 192
_base_ = './adamw_cosine_1x.py'
max_epochs = 120
half = max_epochs // 2
optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR', eta_min=0.0, T_max=half, by_epoch=True, begin=half, end=max_epochs
    ),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
auto_scale_lr = dict(base_batch_size=192)
