# semantic: 50000 iterations of 16 pairs, half the rate every 10000
_base_ = './adamw_change.py'
param_scheduler = [dict(type='StepLR', step_size=10000, gamma=0.5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='change/sek'))
