# the authors' figures are in the paper's tables; not repeated by us
_base_ = [
    '../_base_/models/xlstm_unet.py',
    '../_base_/datasets/endovis17.py',
    '../_base_/schedules/sgd_poly_1000k.py',
    '../_base_/default_runtime.py',
]
arch = 'enc_endoscopy'
widths = [32, 64, 128, 256, 512, 512, 512]
patch_size = (384, 640)
model = dict(
    # smaller images are padded to one window
    data_preprocessor=dict(
        size_divisor=None, size=patch_size, test_cfg=dict(_delete_=True, size=patch_size)
    ),
    backbone=dict(arch=arch),
    decode_head=dict(
        decoder=dict(arch=arch, in_channels=widths, num_classes=8),
        in_channels=widths,
        num_classes=8,
        supervision=[16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31, 0.0],
    ),
    test_cfg=dict(mode='slide', crop_size=patch_size, stride=(192, 320)),
)
default_hooks = dict(checkpoint=dict(save_best='DSC', rule='greater'))
