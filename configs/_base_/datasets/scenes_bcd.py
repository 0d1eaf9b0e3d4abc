# synthetic scenes of binary changes; training and validation share none
task = 'bcd'
size = (128, 128)
train_pipeline = [
    dict(type='mamba_dense.ChangeCrop', size=(64, 64), limit=0.9),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mamba_dense.QuarterTurn', turns=(0, 1, 2, 3)),
    dict(type='mamba_dense.ExchangeDates', prob=0.5),
    dict(type='mamba_dense.PackChange'),
]
test_pipeline = [dict(type='mamba_dense.PackChange')]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mamba_dense.ChangeScenes',
        task=task,
        length=800,
        size=size,
        seed=1,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mamba_dense.ChangeScenes',
        task=task,
        length=64,
        size=size,
        seed=2,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.BinaryChangeMetric')
test_evaluator = val_evaluator
