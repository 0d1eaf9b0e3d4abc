# the bundled brain, front to train and rear to score; first:
# python tools/prepare_data.py samples --name brain
_base_ = './cases.py'
data_root = 'data/brain'
metainfo = dict(classes=('background', 'grey matter', 'white matter'))
patch_size = [32, 32, 32]
# as nnU-Net scales CT, by the foreground of the training part: the template's values are absolute
preparation = dict(
    channels=[dict(kind='ct', low=119.0, high=234.0, mean=184.9, std=28.3)], crop_nonzero=False
)
common = dict(data_root=data_root, metainfo=metainfo, preparation=preparation)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**common, patch_size=patch_size, samples=100),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(**common))
test_dataloader = val_dataloader
