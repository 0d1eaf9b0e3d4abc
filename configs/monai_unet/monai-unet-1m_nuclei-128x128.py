_base_ = './monai-unet-2m_nuclei-128x128.py'
model = dict(backbone=dict(channels=(14, 28, 56, 112, 224)))
