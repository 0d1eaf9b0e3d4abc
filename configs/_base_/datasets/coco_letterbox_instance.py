# COCO 2017 boxes and masks at 640 for Mamba-YOLO's mask variant, which has no published recipe:
# sizes of 0.5 to 1.5 and crops stand for mosaic, which moves no masks
_base_ = ['./coco_mosaic.py']
data_root = 'data/coco/'
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
            dict(type='RandomResize', scale=(640, 640), ratio_range=(0.5, 1.5), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(640, 640), recompute_bbox=True),
            dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
            dict(type='Pad', size=(640, 640), pad_val=dict(img=(114, 114, 114))),
            dict(type='mamba_dense.HSVGains', hue=0.015, saturation=0.7, value=0.4),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
