# the bundled brain under a bias field and with noise; first:
# python tools/prepare_data.py samples --name brain_disturbed
_base_ = './brain.py'
data_root = 'data/brain_disturbed'
preparation = dict(channels=[dict(kind='ct', low=60.0, high=255.0, mean=189.8, std=35.2)])
common = dict(data_root=data_root, preparation=preparation)
train_dataloader = dict(dataset=dict(**common))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
