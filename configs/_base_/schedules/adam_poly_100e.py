# LightM-UNet's: Adam 1e-4, polynomial decay by epoch, 100 epochs of 250 batches
epochs = 100
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999), eps=1e-5, weight_decay=1e-5),
    clip_grad=dict(max_norm=12),
)
# the rate of epoch e is 1e-4 (1 - e / 100)^0.9; mmengine's reaches 0 in the last epoch before `end`
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=True, begin=0, end=epochs + 1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='Dice', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
