# pairs written by `tools/prepare_data.py change --config`; a leaf says data_root, layout and task
train_pipeline = [
    dict(type='mamba_dense.LoadDates'),
    dict(type='mamba_dense.LoadChangeLabels'),
    dict(type='mamba_dense.ChangeCrop', size=(256, 256), limit=0.9),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mamba_dense.QuarterTurn', turns=(0, 1, 2, 3)),
    dict(type='mamba_dense.PackChange'),
]
test_pipeline = [
    dict(type='mamba_dense.LoadDates'),
    dict(type='mamba_dense.LoadChangeLabels'),
    dict(type='mamba_dense.PackChange'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='mamba_dense.ChangeFolder', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mamba_dense.ChangeFolder', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.BinaryChangeMetric')
test_evaluator = val_evaluator
