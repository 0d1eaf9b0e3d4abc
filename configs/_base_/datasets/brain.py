# the bundled brain, front to train and rear to score; first:
# python tools/prepare_data.py samples --name brain
_base_ = './cases.py'
data_root = 'data/brain'
# intensities of the template are absolute: one scale for both parts, of the front's voxels
preparation = dict(
    channels=[dict(kind='ct', low=0.0, high=255.0, mean=0.0, std=64.0)], crop_nonzero=False
)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root, preparation=preparation, patch_size=[32, 32, 32], samples=100
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, preparation=preparation),
)
test_dataloader = val_dataloader
