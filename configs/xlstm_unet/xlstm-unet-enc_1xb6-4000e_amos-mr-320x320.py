# slice by slice; the authors' figures are in the paper's tables; not repeated by us
_base_ = './xlstm-unet-bot_1xb6-4000e_amos-mr-320x320.py'
arch = 'enc_mr_2d'
model = dict(backbone=dict(arch=arch), decoder=dict(arch=arch))
