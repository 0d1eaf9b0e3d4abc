# MobileMamba's published recipe: AdamW 2e-4, gradients clipped to 0.1, 500 warm-up, constant for
# half of the 12 epochs, then cosine to 0
_base_ = './adamw_step_1x.py'
max_epochs = 12
half = max_epochs // 2
optim_wrapper = dict(optimizer=dict(lr=2e-4), clip_grad=dict(max_norm=0.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR', eta_min=0.0, T_max=half, by_epoch=True, begin=half, end=max_epochs
    ),
]
