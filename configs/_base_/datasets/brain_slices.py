# the bundled brain, slice by slice, enlarged four times; write the slices first:
# python tools/prepare_data.py samples --name brain_slices
_base_ = './folder.py'
data_root = 'data/brain_slices'
metainfo = dict(
    classes=('background', 'grey matter', 'white matter'),
    palette=[[0, 0, 0], [128, 128, 128], [255, 255, 255]],
)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    # about four times 98x94
    dict(type='RandomResize', scale=(392, 376), ratio_range=(0.7, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=0.95),
    # the eight positions of a square
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=4.0, keep_ratio=True),
    # after Resize: the logits are brought back to the slice's own grid and scored there
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mamba_dense.PooledScores', foreground=(1, 2))
test_evaluator = val_evaluator
