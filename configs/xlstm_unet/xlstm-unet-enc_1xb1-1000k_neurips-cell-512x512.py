# the authors report F1 60.36; not repeated by us
_base_ = [
    '../_base_/models/xlstm_unet.py',
    '../_base_/datasets/neurips_cell.py',
    '../_base_/schedules/sgd_poly_1000k.py',
    '../_base_/default_runtime.py',
]
arch = 'enc_microscopy'
widths = [32, 64, 128, 256, 512, 512, 512, 512]
patch_size = (512, 512)
model = dict(
    # smaller images are padded to one window
    data_preprocessor=dict(
        size_divisor=None, size=patch_size, test_cfg=dict(_delete_=True, size=patch_size)
    ),
    backbone=dict(arch=arch),
    decode_head=dict(
        decoder=dict(arch=arch, in_channels=widths, num_classes=3),
        in_channels=widths,
        num_classes=3,
        supervision=[32 / 63, 16 / 63, 8 / 63, 4 / 63, 2 / 63, 1 / 63, 0.0],
    ),
    test_cfg=dict(mode='slide', crop_size=patch_size, stride=(256, 256)),
)
default_hooks = dict(checkpoint=dict(save_best='F1', rule='greater'))
