# adamw_step_3x in mixed precision
_base_ = './adamw_step_3x.py'
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
