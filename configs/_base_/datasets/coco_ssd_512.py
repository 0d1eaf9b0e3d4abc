# coco_ssd_320 with images of 512x512
_base_ = './coco_ssd_320.py'
size = (512, 512)
train_pipeline = [
    dict(step, scale=size) if step['type'] == 'Resize' else step for step in _base_.train_pipeline
]
test_pipeline = [
    dict(step, scale=size) if step['type'] == 'Resize' else step for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
