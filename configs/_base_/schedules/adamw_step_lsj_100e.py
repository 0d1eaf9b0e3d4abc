# ViTDet's 100 epochs of COCO: 184375 steps of 64 images, a tenth of the rate at 163889 and 177546
max_iters = 184375
# layer-wise decay of the rate: 0.837 to the power of the layers between a block and the heads
rate = 0.837
layers = {f'backbone.blocks.{i}.': dict(lr_mult=rate ** (24 - i)) for i in range(24)}
optim_wrapper = dict(
    type='AmpOptimWrapper',
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(
        custom_keys={
            **layers,
            'backbone.stem': dict(lr_mult=rate**25),
            'backbone.stem.pos_embed': dict(lr_mult=rate**25, decay_mult=0.0),
            'backbone.stem.cls': dict(lr_mult=rate**25, decay_mult=0.0),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_iters,
        by_epoch=False,
        milestones=[163889, 177546],
        gamma=0.1,
    ),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=64)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
)
