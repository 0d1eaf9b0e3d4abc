# cells under the microscope, NeurIPS 2022 as U-Mamba has it (Dataset703_NeurIPSCell); first:
# python tools/prepare_data.py medical Dataset703_NeurIPSCell --layout nnunet-png \
#     --out data/neurips-cell
_base_ = './nnunet_images.py'
data_root = 'data/neurips-cell'
classes = ('background', 'interior', 'boundary')
palette = [[0, 0, 0], [255, 200, 0], [0, 160, 255]]
common = dict(
    data_root=data_root, metainfo=dict(classes=classes, palette=palette), img_suffix='.png'
)
crop = dict(type='RandomCrop', crop_size=(512, 512))
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    dataset=dict(**common, pipeline=[*_base_.load, crop, _base_.normalise, *_base_.augment]),
)
test_pipeline = [*_base_.load, _base_.normalise, dict(type='PackSegInputs')]
val_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mamba_dense.InstanceF1')
test_evaluator = val_evaluator
