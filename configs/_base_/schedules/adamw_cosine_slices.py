# for the bundled brain's slices; longer trainings fit the front better and the rear worse
_base_ = './adamw_cosine_short.py'
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(val_interval=400)
