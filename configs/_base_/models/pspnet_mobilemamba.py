# PSPNet on MobileMamba
_base_ = './mobilemamba_last_map.py'
model = dict(decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6)))
