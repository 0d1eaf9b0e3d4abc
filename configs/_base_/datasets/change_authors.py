# what ChangeMamba's authors do to every data set; who builds on it says data_root, task and metric
train_pipeline = [
    dict(type='mamba_dense.LoadDates'),
    dict(type='mamba_dense.LoadChangeLabels'),
    dict(type='mamba_dense.ChangeCrop', size=(256, 256), limit=0.75, tries=10),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='vertical'),
    dict(type='mamba_dense.QuarterTurn', turns=(1, 2, 3)),
    dict(type='mamba_dense.PackChange'),
]
test_pipeline = [
    dict(type='mamba_dense.LoadDates'),
    dict(type='mamba_dense.LoadChangeLabels'),
    dict(type='mamba_dense.PackChange'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mamba_dense.ChangeFolder',
        layout='changemamba',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mamba_dense.ChangeFolder',
        layout='changemamba',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
