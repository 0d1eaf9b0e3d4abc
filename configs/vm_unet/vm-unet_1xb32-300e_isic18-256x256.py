# the authors report mIoU / DSC 81.35 / 89.71; not repeated by us
# they start from VMamba-S: model.init_cfg=dict(type='ImageNet', checkpoint=FILE)
_base_ = [
    '../_base_/models/vm_unet.py',
    '../_base_/datasets/isic.py',
    '../_base_/schedules/adamw_cosine_300e_isic.py',
    '../_base_/default_runtime.py',
]
log_processor = dict(by_epoch=True)
randomness = dict(seed=42)
