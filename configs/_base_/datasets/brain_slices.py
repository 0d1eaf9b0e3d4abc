# slices of the bundled brain; first: python tools/prepare_data.py samples --name brain_slices
_base_ = './folder.py'
data_root = 'data/brain_slices'
metainfo = dict(
    classes=('background', 'grey matter', 'white matter'),
    palette=[[0, 0, 0], [230, 80, 60], [250, 220, 130]],
)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(96, 94)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
# the mean of grey and white matter, all slices pooled: what the thresholds are fitted for
val_evaluator = dict(_delete_=True, type='mamba_dense.PooledScores', foreground=(1, 2))
test_evaluator = val_evaluator
