# for the bundled brain's slices
_base_ = './adamw_cosine_short.py'
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(val_interval=400)
