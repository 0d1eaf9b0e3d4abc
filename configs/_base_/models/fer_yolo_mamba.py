# FER-YOLO-Mamba-s: YOLOX-s of mmdet with the dual-branch neck; outputs of strides 16, 16 and 32
norm_cfg = dict(type='BN', momentum=0.03, eps=0.001)
init_cfg = [
    dict(type='Normal', layer='Conv2d', std=0.02),
    dict(type='Normal', layer='BatchNorm2d', mean=1.0, std=0.02),
]
model = dict(
    type='YOLOX',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='CSPDarknet',
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(2, 3, 4),
        norm_cfg=norm_cfg,
        act_cfg=dict(type='Swish'),
        init_cfg=init_cfg,
    ),
    neck=dict(
        type='mamba_dense.FERYOLOPAFPN',
        in_channels=[128, 256, 512],
        out_channels=128,
        norm_cfg=norm_cfg,
        init_cfg=init_cfg,
    ),
    bbox_head=dict(
        type='YOLOXHead',
        num_classes=7,
        in_channels=128,
        feat_channels=128,
        stacked_convs=2,
        strides=(16, 16, 32),
        norm_cfg=norm_cfg,
        act_cfg=dict(type='Swish'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
        loss_bbox=dict(type='IoULoss', mode='square', eps=1e-16, reduction='sum', loss_weight=5.0),
        loss_obj=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
        init_cfg=init_cfg,
    ),
    train_cfg=dict(assigner=dict(type='SimOTAAssigner', center_radius=2.5)),
    test_cfg=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
