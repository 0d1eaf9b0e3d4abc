# the bundled brain, front to train and rear to score; first:
# python tools/prepare_data.py samples --name brain
_base_ = './cases.py'
data_root = 'data/brain'
metainfo = dict(classes=('background', 'grey matter', 'white matter'))
patch_size = [32, 16, 32]
# the template's values are absolute: mean and deviation of the foreground of the training part, as
# nnU-Net scales CT; what is darker than any tissue is cut off, as patches are normed in the network
preparation = dict(channels=[dict(kind='ct', low=80.0, high=255.0, mean=184.9, std=28.3)])
common = dict(data_root=data_root, metainfo=metainfo, preparation=preparation)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**common, patch_size=patch_size, samples=100),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(**common))
test_dataloader = val_dataloader
