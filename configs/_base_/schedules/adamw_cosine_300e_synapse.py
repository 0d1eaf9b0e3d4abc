# VM-UNet's on Synapse: that of ISIC, the cosine down and up again every 100 epochs of 300
_base_ = './adamw_cosine_300e_isic.py'
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=100, begin=0, end=300, eta_min=1e-5, by_epoch=True),
]
train_cfg = dict(val_interval=100)
