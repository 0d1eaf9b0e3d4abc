# halves of two airborne pictures; first: python tools/prepare_data.py samples --name trees
_base_ = './small_coco.py'
data_root = 'data/trees/'
metainfo = dict(classes=('tree',), palette=[(255, 200, 0)])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='Resize', scale_factor=factor, keep_ratio=True)]
            for factor in (0.77, 0.88, 1.0, 1.14, 1.3)
        ],
    ),
    # around labelled trees: many others of one picture are not labelled
    dict(type='mamba_dense.CropAtObject', crop_size=(192, 192)),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(6, 6)),
    dict(type='RandomFlip', prob=[0.25] * 3, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mamba_dense.RandomTranspose', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/val.json',
    metric='bbox',
)
test_evaluator = val_evaluator
