# no result of this training is published; not trained by us
_base_ = [
    '../_base_/models/mhs_unet.py',
    '../_base_/datasets/isic.py',
    '../_base_/schedules/adamw_cosine_300e_isic.py',
    '../_base_/default_runtime.py',
]
arch = dict(base='four_heads', threshold=0.0)
model = dict(backbone=dict(arch=arch), decode_head=dict(arch=arch))
data_root = 'data/isic17'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
log_processor = dict(by_epoch=True)
randomness = dict(seed=42)
