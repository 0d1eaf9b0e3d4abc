# sgd_poly_4000e.py for data sets of mmseg, which have no epochs of 250 batches: as many iterations,
# the rate falls at each of them instead of every 250
_base_ = './sgd_poly_4000e.py'
max_iters = 1000000
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=max_iters + 1)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=25000)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=5000),
    visualization=dict(type='SegVisualizationHook'),
)
