# Synapse multi-organ CT, slice by slice at 224x224; first, from TransUNet's files:
# python tools/prepare_data.py medical FOLDER --layout synapse-slices --out data/synapse_slices
_base_ = './folder.py'
data_root = 'data/synapse_slices'
metainfo = dict(
    classes=(
        *('background', 'aorta', 'gallbladder', 'left kidney', 'right kidney'),
        *('liver', 'pancreas', 'spleen', 'stomach'),
    ),
    palette=[
        *([0, 0, 0], [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200]),
        *([245, 130, 48], [145, 30, 180], [70, 240, 240], [240, 50, 230]),
    ],
)
size = (224, 224)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='unchanged'),
    dict(type='mamba_dense.UnitIntensity'),
    dict(type='LoadAnnotations'),
    dict(type='mamba_dense.TurnOrTilt', turn=0.5, tilt=0.5, degrees=20),
    dict(type='mamba_dense.ZoomSlice', size=size),
    dict(type='PackSegInputs'),
]
# scored as published: classes chosen at 224x224 and brought back to the slice's grid
val_pipeline = [
    dict(type='LoadImageFromFile', color_type='unchanged'),
    dict(type='mamba_dense.UnitIntensity'),
    dict(type='LoadAnnotations'),
    dict(type='mamba_dense.ZoomSlice', size=size, as_original=True),
    dict(type='PackSegInputs'),
]
# tools/infer.py brings the logits back
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='unchanged'),
    dict(type='mamba_dense.UnitIntensity'),
    dict(type='mamba_dense.ZoomSlice', size=size),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(**common, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(**common, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mamba_dense.SliceCaseScores')
test_evaluator = val_evaluator
