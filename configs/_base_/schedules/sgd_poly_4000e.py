# xLSTM-UNet's: SGD 5e-3 with Nesterov momentum, polynomial decay by epoch, 4000 epochs of 250
# batches in mixed precision
epochs = 4000
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='SGD', lr=5e-3, momentum=0.99, nesterov=True, weight_decay=3e-5),
    clip_grad=dict(max_norm=12),
)
# one more: mmengine's is 0 in the epoch before the end
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=True, end=epochs + 1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=100)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=20, max_keep_ckpts=1, save_best='Dice', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
