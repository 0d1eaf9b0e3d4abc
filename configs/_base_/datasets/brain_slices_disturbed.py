# the bundled brain under a smooth field of gain and noise; write the slices first:
# python tools/prepare_data.py samples --name brain_slices_disturbed
_base_ = './brain_slices.py'
data_root = 'data/brain_slices_disturbed'
# the front has one field: others of its kind are drawn over it
gain = dict(type='mamba_dense.SmoothGain', strength=0.055, cell=40.0)
steps = _base_.train_pipeline
pipeline = [*steps[:2], gain, *steps[3:]]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
