# instruments of endoscopy, EndoVis 2017 as U-Mamba has it (Dataset704_Endovis17); first:
# python tools/prepare_data.py medical Dataset704_Endovis17 --layout nnunet-png --out data/endovis17
_base_ = './nnunet_images.py'
data_root = 'data/endovis17'
classes = (
    'background',
    'bipolar forceps',
    'prograsp forceps',
    'large needle driver',
    'vessel sealer',
    'grasping retractor',
    'monopolar curved scissors',
    'other',
)
palette = [
    [0, 0, 0],
    [255, 80, 80],
    [80, 255, 80],
    [80, 80, 255],
    [255, 255, 80],
    [255, 80, 255],
    [80, 255, 255],
    [200, 200, 200],
]
common = dict(
    data_root=data_root, metainfo=dict(classes=classes, palette=palette), img_suffix='.png'
)
crop = dict(type='RandomCrop', crop_size=(384, 640))
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    dataset=dict(**common, pipeline=[*_base_.load, crop, _base_.normalise, *_base_.augment]),
)
test_pipeline = [*_base_.load, _base_.normalise, dict(type='PackSegInputs')]
val_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mamba_dense.PresentScores')
test_evaluator = val_evaluator
