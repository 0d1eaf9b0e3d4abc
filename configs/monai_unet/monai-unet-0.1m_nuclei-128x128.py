_base_ = './monai-unet-0.15m_nuclei-128x128.py'
model = dict(backbone=dict(channels=(8, 16, 32, 68)))
