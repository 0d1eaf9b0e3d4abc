# the bundled brain under a smooth field of gain and with noise; first:
# python tools/prepare_data.py samples --name brain_disturbed
_base_ = './brain.py'
data_root = 'data/brain_disturbed'
mean, std = 170.0, 40.0
preparation = dict(channels=[dict(kind='ct', low=60.0, high=255.0, mean=mean, std=std)])
common = dict(data_root=data_root, preparation=preparation)
# the front has one field: others of its kind are drawn over it
gain = [
    dict(
        type='mamba_dense.RandSmoothGaind',
        keys='image',
        prob=1.0,
        strength=0.055,
        cell=40.0,
        zero=-mean / std,
    ),
]
train_dataloader = dict(dataset=dict(**common, pipeline=[*gain, *_base_.pipeline]))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
