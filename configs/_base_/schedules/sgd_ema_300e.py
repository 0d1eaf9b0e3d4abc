# Mamba-YOLO's: SGD for 300 epochs in batches of 512 (8 processes of 64), averaged weights; the
# decay is 0.0005 * 512 / 64: with batches of 64 or less take 0.0005
max_epochs = 300
optim_wrapper = dict(
    type='AmpOptimWrapper',
    constructor='mamba_dense.NoDecayConstructor',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.937, nesterov=True, weight_decay=0.004),
    # norms and everything called bias
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [
    dict(type='mamba_dense.WarmupDecayHook', final=0.01, epochs=3, min_iters=100),
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=1e-4,
        gamma=2000,
        update_buffers=True,
        priority='ABOVE_NORMAL',
    ),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='CheckpointHook', interval=5, max_keep_ckpts=3, save_best='coco/bbox_mAP'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
)
