# nnU-Net's augmentation for patches much thinner along the first axis, and for slices: turned
# within the plane alone, by any angle, its two sides scaled apart
_base_ = './cases_nnunet.py'
both = ['image', 'label']
spatial = [
    dict(
        type='monai.transforms.RandRotated',
        keys=both,
        prob=0.2,
        range_x=3.141592653589793,
        mode=['bilinear', 'nearest'],
        padding_mode='nearest',
    ),
    dict(
        type='monai.transforms.RandZoomd',
        keys=both,
        prob=0.2,
        min_zoom=[1.0, 0.7, 0.7],
        max_zoom=[1.0, 1.4, 1.4],
        mode=['trilinear', 'nearest'],
        padding_mode='edge',
    ),
]
train_dataloader = dict(dataset=dict(pipeline=[*spatial, *_base_.intensity, *_base_.mirror]))
