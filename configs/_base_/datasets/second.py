# SECOND, 512x512, land cover as class numbers; the recipe of ChangeMamba's authors
_base_ = './change_authors.py'
train_dataloader = dict(dataset=dict(data_root='data/second/train', task='scd'))
val_dataloader = dict(dataset=dict(data_root='data/second/test', task='scd'))
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.SemanticChangeMetric')
test_evaluator = val_evaluator
