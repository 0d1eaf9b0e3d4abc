# the authors report F1 60.36; not repeated by us
_base_ = './xlstm-unet-bot_1xb1-1000k_neurips-cell-512x512.py'
arch = 'enc_microscopy'
model = dict(backbone=dict(arch=arch), decode_head=dict(decoder=dict(arch=arch)))
