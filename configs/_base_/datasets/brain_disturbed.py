# the bundled brain under a bias field and with noise; first:
# python tools/prepare_data.py samples --name brain_disturbed
_base_ = './brain.py'
data_root = 'data/brain_disturbed'
# without a shift, so that the gain of the augmentation is a gain
preparation = dict(channels=[dict(kind='ct', low=60.0, high=255.0, mean=0.0, std=35.2)])
common = dict(data_root=data_root, preparation=preparation)
disturb = [
    dict(type='monai.transforms.RandBiasFieldd', keys='image', prob=0.7, coeff_range=(-0.1, 0.1)),
    dict(type='monai.transforms.RandGaussianNoised', keys='image', prob=0.5, std=0.2),
]
train_dataloader = dict(dataset=dict(**common, pipeline=[*disturb, *_base_.pipeline]))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
