# the nuclei's boxes alone; first: python tools/prepare_data.py samples --name nuclei_instances
_base_ = ['./nuclei_instances.py']
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=(256, 256), ratio_range=(0.77, 1.3), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(192, 192)),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(4, 4)),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='mamba_dense.RandomTranspose', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
