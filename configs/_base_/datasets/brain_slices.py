# the bundled brain, slice by slice, enlarged four times; write the slices first:
# python tools/prepare_data.py samples --name brain_slices
_base_ = './folder.py'
# for tools/infer.py: the axis that was sliced, the intensities that became 0 and 255
slices = dict(axis=1, range=(0, 255))
data_root = 'data/brain_slices'
metainfo = dict(
    classes=('background', 'grey matter', 'white matter'),
    palette=[[0, 0, 0], [128, 128, 128], [255, 255, 255]],
)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations'),
    # a little, so that the front's intensities are not learned too exactly
    dict(type='mamba_dense.SmoothGain', strength=0.02, cell=40.0),
    # before Resize: a patch of the network is one pixel of the slice
    dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.95),
    dict(type='Resize', scale_factor=4.0, keep_ratio=True),
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
