# the bundled brain under a smooth field of gain and with noise; first:
# python tools/prepare_data.py samples --name brain_disturbed
_base_ = './brain.py'
data_root = 'data/brain_disturbed'
patch_size = [48, 32, 48]
mean, std = 170.0, 40.0
preparation = dict(channels=[dict(kind='ct', low=60.0, high=255.0, mean=mean, std=std)])
common = dict(data_root=data_root, preparation=preparation)
both = ['image', 'label']
pipeline = [
    # the front has one field: others of its kind are drawn over it
    dict(**_base_.gain, strength=0.055, zero=-mean / std),
    # a part of the patch and its mirror images: the share of each tissue, by which a norm over the
    # patch would guess the gain, varies more than in the front
    dict(
        type='monai.transforms.RandSpatialCropd',
        keys=both,
        roi_size=[24, 16, 24],
        max_roi_size=patch_size,
        random_size=True,
    ),
    dict(type='monai.transforms.SpatialPadd', keys=both, spatial_size=patch_size, mode='reflect'),
    *_base_.turns,
]
train_dataloader = dict(
    batch_size=2, dataset=dict(**common, patch_size=patch_size, pipeline=pipeline)
)
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
