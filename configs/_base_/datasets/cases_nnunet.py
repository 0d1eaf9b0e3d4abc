# nnU-Net's augmentation (order and chances of version 2.1) over nnU-Net's raw layout; an epoch has
# 250 batches of 2 patches. What differs with MONAI's transforms: labels take the nearest value, no
# channel is spared blur and low resolution by chance, the deviation of the noise (not its variance)
# is evenly drawn, patches are turned and scaled at their own size, linearly, repeating the border's
# value
_base_ = ['./cases.py', './nnunet_intensities.py']
both = ['image', 'label']
turn = 30 * 3.141592653589793 / 180
spatial = [
    dict(
        type='monai.transforms.RandRotated',
        keys=both,
        prob=0.2,
        range_x=turn,
        range_y=turn,
        range_z=turn,
        mode=['bilinear', 'nearest'],
        padding_mode='nearest',
    ),
    dict(
        type='monai.transforms.RandZoomd',
        keys=both,
        prob=0.2,
        min_zoom=0.7,
        max_zoom=1.4,
        mode=['trilinear', 'nearest'],
        padding_mode='edge',
    ),
]
intensity = [
    *_base_.before_resolution,
    dict(
        type='monai.transforms.RandSimulateLowResolutiond',
        keys='image',
        prob=0.25,
        zoom_range=(0.5, 1.0),
    ),
    *_base_.after_resolution,
]
mirror = [
    dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=axis)
    for axis in range(3)
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(samples=500, pipeline=[*spatial, *intensity, *mirror]),
)
