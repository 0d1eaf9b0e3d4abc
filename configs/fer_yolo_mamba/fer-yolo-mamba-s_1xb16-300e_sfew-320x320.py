_base_ = [
    '../_base_/models/fer_yolo_mamba.py',
    '../_base_/datasets/faces.py',
    '../_base_/schedules/sgd_cosine_300e.py',
    '../_base_/default_runtime_det.py',
]
custom_hooks = [
    # the output convolutions are the head's stems in the authors' network
    dict(
        type='mamba_dense.FreezeUntilHook',
        epoch=100,
        modules=[
            'backbone',
            'neck.lateral',
            'neck.merge_p4',
            'neck.reduce',
            'neck.merge_p3',
            'neck.out_p3',
            'neck.down_p3',
            'neck.merge_n4',
            'neck.down_p4',
            'neck.merge_n5',
        ],
    ),
    dict(
        type='EMAHook',
        ema_type='mmdet.ExpMomentumEMA',
        momentum=1e-4,
        gamma=2000,
        update_buffers=True,
        priority=49,
    ),
]
randomness = dict(seed=11)
