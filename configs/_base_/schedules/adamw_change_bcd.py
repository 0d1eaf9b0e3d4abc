# binary: 20000 iterations of 16 pairs
_base_ = './adamw_change.py'
train_cfg = dict(max_iters=20000)
default_hooks = dict(checkpoint=dict(save_best='change/kappa'))
