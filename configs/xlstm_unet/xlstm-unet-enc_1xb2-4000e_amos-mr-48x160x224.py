# the authors' figures are in the paper's tables; not repeated by us
_base_ = './xlstm-unet-bot_1xb2-4000e_amos-mr-48x160x224.py'
arch = 'enc_mr_3d'
model = dict(backbone=dict(arch=arch), decoder=dict(arch=arch))
