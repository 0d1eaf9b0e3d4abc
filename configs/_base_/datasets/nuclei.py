# the bundled nuclei; write them first: python tools/prepare_data.py samples --name nuclei
_base_ = './folder.py'
data_root = 'data/nuclei'
metainfo = dict(classes=('background', 'nucleus'), palette=[[0, 0, 0], [255, 200, 0]])
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size),
    # the eight positions of a square: a quarter turn with a flip, then perhaps one flip more
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
