# a folder in nnU-Net's raw layout (imagesTr, labelsTr, dataset.json) with a light augmentation;
# tools/plan.py chooses spacing, intensities, patch and batch for a folder of yours
data_root = 'data/cases'
preparation = dict(spacing=None, axes=[0, 1, 2], channels=[dict(kind='zscore')], crop_nonzero=True)
both = ['image', 'label']
pipeline = [
    dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=0),
    dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=1),
    dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=2),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mamba_dense.CaseDataset',
        data_root=data_root,
        split='train',
        preparation=preparation,
        patch_size=[64, 64, 64],
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mamba_dense.CaseDataset',
        data_root=data_root,
        split='val',
        preparation=preparation,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.CaseScores')
test_evaluator = val_evaluator
