_base_ = [
    '../_base_/models/retinanet_vmamba.py',
    '../_base_/datasets/trees.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime_det.py',
]
# GroupNorm: from scratch, with small batches; crowns are 20 to 80 pixels wide
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    # no map of stride 4: nothing would learn its norm
    backbone=dict(arch='nano', out_indices=(1, 2, 3)),
    neck=dict(
        in_channels=[64, 128, 256], start_level=0, out_channels=64, num_outs=4, norm_cfg=norm_cfg
    ),
    bbox_head=dict(
        num_classes=1,
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        norm_cfg=norm_cfg,
        anchor_generator=dict(octave_base_scale=3, strides=[8, 16, 32, 64]),
    ),
)
max_iters = 400
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=20, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
# the two pictures are labelled differently: scores of each, too
val_evaluator = dict(type='mamba_dense.CocoScoresPerImage')
test_evaluator = val_evaluator
