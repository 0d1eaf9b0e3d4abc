# LEVIR-CD+, 1024x1024; the recipe of ChangeMamba's authors
_base_ = './change_authors.py'
train_dataloader = dict(dataset=dict(data_root='data/levir-cd-plus/train', task='bcd'))
val_dataloader = dict(dataset=dict(data_root='data/levir-cd-plus/test', task='bcd'))
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.BinaryChangeMetric')
test_evaluator = val_evaluator
