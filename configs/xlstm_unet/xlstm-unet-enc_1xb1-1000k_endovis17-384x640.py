# the authors' figures are in the paper's tables; not repeated by us
_base_ = './xlstm-unet-bot_1xb1-1000k_endovis17-384x640.py'
arch = 'enc_endoscopy'
model = dict(backbone=dict(arch=arch), decode_head=dict(decoder=dict(arch=arch)))
