# xBD, 1024x1024, its training images cut into the tiles that the list names; the authors' recipe
_base_ = './change_authors.py'
train_dataloader = dict(
    dataset=dict(
        data_root='data/xbd/train',
        layout='xbd-tiles',
        task='bda',
        names='data/xbd/train_list.txt',
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root='data/xbd/test', layout='xbd', task='bda', names='data/xbd/test_list.txt'
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.DamageMetric')
test_evaluator = val_evaluator
