# synthetic scenes of damaged buildings
_base_ = './scenes_bcd.py'
train_pipeline = [
    dict(type='mamba_dense.ChangeCrop', size=(64, 64), limit=0.9),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mamba_dense.QuarterTurn', turns=(0, 1, 2, 3)),
    dict(type='mamba_dense.PackChange'),
]
train_dataloader = dict(dataset=dict(task='bda', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(task='bda'))
test_dataloader = dict(dataset=dict(task='bda'))
val_evaluator = dict(type='mamba_dense.DamageMetric')
test_evaluator = dict(type='mamba_dense.DamageMetric')
