# Mamba-YOLO as released: backbone, PAFPN of scans, decoupled head; a leaf says arch and in_channels
widths = [64, 128, 256]
model = dict(
    type='mamba_dense.MambaYOLODetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        # grey of 114, after the division
        pad_value=114 / 255,
    ),
    backbone=dict(type='mamba_dense.MambaYOLO', arch='tiny', out_indices=(1, 2, 3)),
    neck=dict(type='mamba_dense.MambaYOLOPAFPN', in_channels=widths, scans=1),
    bbox_head=dict(
        type='mamba_dense.MambaYOLOHead',
        num_classes=80,
        in_channels=widths,
        strides=(8, 16, 32),
        image_size=640,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.5),
        loss_bbox=dict(type='mamba_dense.CompleteIoULoss', loss_weight=7.5),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=1.5),
    ),
    train_cfg=dict(
        assigner=dict(
            type='mamba_dense.InsideTaskAlignedAssigner', topk=10, alpha=0.5, beta=6.0, eps=1e-9
        ),
    ),
    # validation; to look at pictures take score_thr=0.25, multi_label=False
    test_cfg=dict(
        score_thr=0.001,
        multi_label=True,
        nms_pre=30000,
        nms=dict(type='nms', iou_threshold=0.7),
        max_per_img=300,
    ),
)
