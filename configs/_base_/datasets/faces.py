# faces with an expression each, as COCO boxes; first, from Pascal VOC files (SFEW, RAF-DB):
# python tools/prepare_data.py coco --format voc --images IMAGES --labels XML --val 0.1 \
#     --out data/sfew --classes Angry Disgust Fear Happy Neutral Sad Surprise
data_root = 'data/sfew/'
metainfo = dict(classes=('Angry', 'Disgust', 'Fear', 'Happy', 'Neutral', 'Sad', 'Surprise'))
scale = (320, 320)
grey = dict(img=(128, 128, 128))
single = [
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(320, 320), allow_negative_crop=True),
    dict(type='Pad', size=scale, pad_val=grey),
    dict(type='mamba_dense.HSVGains', hue=0.1, saturation=0.7, value=0.4),
    dict(type='RandomFlip', prob=0.5),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=True),
    dict(type='PackDetInputs'),
]
# four pictures on twice the side, the corner where they meet in its middle two fifths
mosaic = dict(
    type='mamba_dense.MosaicOfFour',
    img_scale=scale,
    center_ratio_range=(0.6, 1.4),
    pad_val=128.0,
    prob=0.5,
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True, interpolation='bicubic'),
    dict(type='Pad', size=scale, pad_val=grey),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mamba_dense.ClosingMixDataset',
        dataset=dict(
            type='CocoDataset',
            data_root=data_root,
            metainfo=metainfo,
            ann_file='annotations/train.json',
            data_prefix=dict(img='images/train/'),
            filter_cfg=dict(filter_empty_gt=False),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
            ],
        ),
        pipeline=[mosaic, *single],
        late_pipeline=single,
        close_epoch=210,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mamba_dense.CocoScores',
    ann_file=data_root + 'annotations/val.json',
    metric='bbox',
    classwise=True,
)
test_evaluator = val_evaluator
