# the authors report mIoU / DSC 80.23 / 89.03; not repeated by us
# they start from VMamba-S: model.init_cfg=dict(type='ImageNet', checkpoint=FILE)
_base_ = [
    '../_base_/models/vm_unet.py',
    '../_base_/datasets/isic.py',
    '../_base_/schedules/adamw_cosine_300e_isic.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/isic17'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
log_processor = dict(by_epoch=True)
randomness = dict(seed=42)
