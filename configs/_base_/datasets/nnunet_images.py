# nnU-Net's normalisation (each channel of an image to mean 0, deviation 1) and augmentation (order
# and chances of version 2.1) of images, over a folder of mmseg's layout; cases_nnunet.py tells
# what differs with MONAI's transforms. A leaf says data_root, metainfo, img_suffix, and puts its
# cropping or resizing between `load` and `normalise`, `augment`
_base_ = ['./folder.py', './nnunet_intensities.py']
both = ['image', 'label']
normalise = dict(
    type='mamba_dense.MonaiTransforms',
    transforms=[dict(type='monai.transforms.NormalizeIntensityd', keys='image', channel_wise=True)],
)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
augment = [
    dict(
        type='mamba_dense.MonaiTransforms',
        transforms=[
            dict(
                type='monai.transforms.RandRotated',
                keys=both,
                prob=0.2,
                range_x=3.141592653589793,
                mode=[3, 0],
                padding_mode='nearest',
            ),
            dict(
                type='monai.transforms.RandZoomd',
                keys=both,
                prob=0.2,
                min_zoom=0.7,
                max_zoom=1.4,
                mode=[3, 0],
                padding_mode='edge',
            ),
            *_base_.before_resolution,
            dict(
                type='monai.transforms.RandSimulateLowResolutiond',
                keys='image',
                prob=0.25,
                zoom_range=(0.5, 1.0),
                upsample_mode='bicubic',
            ),
            *_base_.after_resolution,
            dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=0),
            dict(type='monai.transforms.RandFlipd', keys=both, prob=0.5, spatial_axis=1),
        ],
    ),
    dict(type='PackSegInputs'),
]
