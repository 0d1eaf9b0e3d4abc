# lungs in the chest X-rays of Montgomery and Shenzhen, brought to 512x512, 250 batches an epoch;
# first: python tools/prepare_data.py medical FOLDER --layout chest-xray --out data/chest-xray
_base_ = './nnunet_images.py'
data_root = 'data/chest-xray'
metainfo = dict(classes=('background', 'lung'), palette=[[0, 0, 0], [255, 255, 255]])
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
resize = dict(type='Resize', scale=(512, 512), keep_ratio=False)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    _base_.normalise,
    # after Resize: the logits are brought back to the image's own grid and scored there
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    num_batch_per_epoch=250,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=7,  # 493 images: an epoch takes 3000
        dataset=dict(
            type='BaseSegDataset',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            **common,
            pipeline=[*_base_.load, resize, _base_.normalise, *_base_.augment],
        ),
    ),
)
val_dataloader = dict(num_workers=2, dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = dict(
    num_workers=2,
    dataset=dict(
        **common,
        data_prefix=dict(img_path='img_dir/test', seg_map_path='ann_dir/test'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(_delete_=True, type='mamba_dense.PooledScores')
test_evaluator = val_evaluator
