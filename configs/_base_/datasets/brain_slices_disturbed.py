# the bundled brain under a smooth field of gain and noise; write the slices first:
# python tools/prepare_data.py samples --name brain_slices_disturbed
_base_ = './brain_slices.py'
data_root = 'data/brain_slices_disturbed'
train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations'),
    # the front has one field: others of its kind are drawn over it
    dict(type='mamba_dense.SmoothGain', strength=0.055, cell=40.0),
    dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.95),
    dict(type='Resize', scale_factor=4.0, keep_ratio=True),
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
