# COCO 2017 boxes at 640 as Mamba-YOLO's recipe has them: mosaic but for the last 10 epochs of 300;
# left out: blur, median blur, grey and CLAHE, each of one image in a hundred
data_root = 'data/coco/'
size = (640, 640)
colours_and_flip = [
    dict(type='mamba_dense.HSVGains', hue=0.015, saturation=0.7, value=0.4),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
affine = dict(type='mamba_dense.CentredAffine', size=size, scale_range=(0.5, 1.5), translate=0.1)
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mamba_dense.ClosingMixDataset',
        dataset=dict(
            type='CocoDataset',
            data_root=data_root,
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            filter_cfg=dict(filter_empty_gt=False),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
            ],
        ),
        pipeline=[
            dict(type='mamba_dense.MosaicOfFour', img_scale=size, pad_val=114),
            affine,
            *colours_and_flip,
        ],
        late_pipeline=[dict(type='mamba_dense.LetterBox', scale=size), affine, *colours_and_flip],
        close_epoch=290,
    ),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mamba_dense.LetterBox', scale=size, rectangle=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param'),
    ),
]
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mamba_dense.CocoScores',
    ann_file=data_root + 'annotations/instances_val2017.json',
    metric='bbox',
    proposal_nums=(100, 1, 10),
)
test_evaluator = val_evaluator
