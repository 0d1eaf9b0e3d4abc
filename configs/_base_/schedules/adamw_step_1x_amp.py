# adamw_step_1x in mixed precision
_base_ = './adamw_step_1x.py'
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
