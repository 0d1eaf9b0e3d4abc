# ViTDet's Cascade Mask R-CNN on Vim: a leaf says arch, neck.in_channels and, for patches of another
# stride than 16, neck.scales
norm_cfg = dict(type='mamba_dense.ChannelFirstLayerNorm', eps=1e-6)
box_coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
assigner = dict(type='MaxIoUAssigner', ignore_iof_thr=-1)
sampler = dict(type='RandomSampler', neg_pos_ub=-1)
nms = dict(type='nms', iou_threshold=0.7)
roi_extractor = dict(type='SingleRoIExtractor', out_channels=256, featmap_strides=[4, 8, 16, 32])
box_head = dict(
    type='Shared4Conv1FCBBoxHead',
    in_channels=256,
    conv_out_channels=256,
    fc_out_channels=1024,
    roi_feat_size=7,
    num_classes=80,
    norm_cfg=norm_cfg,
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='L1Loss', loss_weight=1.0),
)
model = dict(
    type='CascadeRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=1024,  # no image is larger: all become 1024 squares
    ),
    backbone=dict(
        type='mamba_dense.Vim',
        arch='tiny',
        img_size=1024,
        out_indices=(23,),
        feature='residual',
        rotary=True,
        drop_path_rate=0.1,
    ),
    neck=dict(
        type='mamba_dense.SimpleFeaturePyramid',
        in_channels=[192],
        out_channels=256,
        scales=(4, 2, 1, 0.5),
        num_outs=5,
    ),
    rpn_head=dict(
        type='RPNHead',
        in_channels=256,
        feat_channels=256,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64],
        ),
        bbox_coder=dict(**box_coder, target_stds=[1.0] * 4),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    roi_head=dict(
        type='mamba_dense.OneMaskCascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 1, 1],
        bbox_roi_extractor=dict(
            **roi_extractor, roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0)
        ),
        bbox_head=[
            dict(**box_head, bbox_coder=dict(**box_coder, target_stds=stds))
            for stds in (
                [1 / 10, 1 / 10, 1 / 5, 1 / 5],
                [1 / 20, 1 / 20, 1 / 10, 1 / 10],
                [1 / 30, 1 / 30, 1 / 15, 1 / 15],
            )
        ],
        mask_roi_extractor=dict(
            **roi_extractor, roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0)
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=80,
            norm_cfg=norm_cfg,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                **assigner,
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
            ),
            sampler=dict(**sampler, num=256, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=nms, min_bbox_size=0),
        rcnn=[
            dict(
                assigner=dict(
                    **assigner,
                    pos_iou_thr=iou,
                    neg_iou_thr=iou,
                    min_pos_iou=iou,
                    match_low_quality=False,
                ),
                sampler=dict(**sampler, num=512, pos_fraction=0.25, add_gt_as_proposals=True),
                mask_size=28,
                pos_weight=-1,
                debug=False,
            )
            for iou in (0.5, 0.6, 0.7)
        ],
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=nms, min_bbox_size=0),
        rcnn=dict(
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=100,
            mask_thr_binary=0.5,
        ),
    ),
)
