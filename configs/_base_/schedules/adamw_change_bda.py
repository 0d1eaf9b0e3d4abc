# building damage: 50000 iterations of 16 pairs, ten times the decay
_base_ = './adamw_change.py'
optim_wrapper = dict(optimizer=dict(weight_decay=5e-3))
train_cfg = dict(val_interval=750)
default_hooks = dict(checkpoint=dict(interval=750, save_best='damage/f1_oa'))
