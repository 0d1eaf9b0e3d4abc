# DeepLabV3 on MobileMamba
_base_ = './mobilemamba_last_map.py'
model = dict(decode_head=dict(type='ASPPHead', dilations=(1, 12, 24, 36)))
