# the bundled brain, front to train and rear to score; first:
# python tools/prepare_data.py samples --name brain
_base_ = './cases.py'
data_root = 'data/brain'
metainfo = dict(classes=('background', 'grey matter', 'white matter'))
patch_size = [32, 16, 32]
# the template's values are absolute: as nnU-Net scales CT, by mean and deviation of the foreground
# of the training part; what is darker than any tissue is cut off, as patches are normed in networks
mean, std = 184.9, 28.3
preparation = dict(channels=[dict(kind='ct', low=80.0, high=255.0, mean=mean, std=std)])
common = dict(data_root=data_root, metainfo=metainfo, preparation=preparation)
gain = dict(type='mamba_dense.RandSmoothGaind', keys='image', prob=1.0, cell=40.0)
turns = [
    *_base_.pipeline,
    dict(
        type='monai.transforms.RandRotate90d',
        keys=['image', 'label'],
        prob=0.75,
        max_k=3,
        spatial_axes=(0, 2),
    ),
]
# a little gain, so that the front's intensities are not learned too exactly
pipeline = [dict(**gain, strength=0.02, zero=-mean / std), *turns]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**common, patch_size=patch_size, samples=100, pipeline=pipeline),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(**common))
test_dataloader = val_dataloader
