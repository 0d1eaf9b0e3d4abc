# for small data from scratch: adamw_cosine_short with an average of the weights over 100 iterations
_base_ = ['./adamw_cosine_short.py']
optim_wrapper = dict(
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.01,
        gamma=100,
        update_buffers=True,
        priority='ABOVE_NORMAL',
    ),
]
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
