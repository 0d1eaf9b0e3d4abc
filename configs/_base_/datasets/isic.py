# skin lesions at 256x256; first, from the challenge's folders or from VM-UNet's:
# python tools/prepare_data.py medical FOLDER --layout isic --out data/isic18
# (for ISIC 2017 into data/isic17, with --val 0.3023: the authors' 1500 and 650;
# pictures that are no .jpg: change img_suffix)
_base_ = './folder.py'
data_root = 'data/isic18'
metainfo = dict(classes=('skin', 'lesion'), palette=[[0, 0, 0], [255, 255, 255]])
size = (256, 256)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.jpg')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='mamba_dense.MinMaxIntensity'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='RandomRotate', prob=0.5, degree=180.0, pad_val=0, seg_pad_val=0),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mamba_dense.MinMaxIntensity'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(**common, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mamba_dense.PooledScores')
test_evaluator = val_evaluator
