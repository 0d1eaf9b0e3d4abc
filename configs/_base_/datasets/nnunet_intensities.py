# nnU-Net's augmentation of intensities (order and chances of version 2.1), in MONAI's transforms,
# before and after the simulation of a low resolution
before_resolution = [
    dict(type='monai.transforms.RandGaussianNoised', keys='image', prob=0.1, std=0.1**0.5),
    dict(
        type='monai.transforms.RandGaussianSmoothd',
        keys='image',
        prob=0.2,
        sigma_x=(0.5, 1.0),
        sigma_y=(0.5, 1.0),
        sigma_z=(0.5, 1.0),
    ),
    dict(type='monai.transforms.RandScaleIntensityd', keys='image', prob=0.15, factors=0.25),
    dict(
        type='monai.transforms.RandScaleIntensityFixedMeand',
        keys='image',
        prob=0.15,
        factors=0.25,
        preserve_range=True,
    ),
]
after_resolution = [
    dict(
        type='monai.transforms.RandAdjustContrastd',
        keys='image',
        prob=0.1,
        gamma=(0.7, 1.5),
        invert_image=True,
        retain_stats=True,
    ),
    dict(
        type='monai.transforms.RandAdjustContrastd',
        keys='image',
        prob=0.3,
        gamma=(0.7, 1.5),
        retain_stats=True,
    ),
]
