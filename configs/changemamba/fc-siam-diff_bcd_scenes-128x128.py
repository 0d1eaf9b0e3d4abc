# the plain convolutional network, by the recipe of changemamba-nano_bcd_scenes-128x128.py
_base_ = './changemamba-nano_bcd_scenes-128x128.py'
model = dict(
    type='mamba_dense.FCSiamDiff',
    backbone=dict(_delete_=True, type='mamba_dense.FCSiamEncoder'),
    decode_head=dict(_delete_=True),
)
