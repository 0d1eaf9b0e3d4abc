# VM-UNet, small, for the bundled brain's slices, enlarged; in windows of the size trained on
_base_ = './vm_unet.py'
arch = dict(base='vanilla_tiny', dims=(32, 64, 128, 256), depths=(1, 1, 1, 1))
model = dict(
    data_preprocessor=dict(mean=[170.0, 170.0, 170.0], std=[40.0, 40.0, 40.0]),
    backbone=dict(arch=arch, drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        arch=arch,
        depths=(1, 1, 1, 1),
        drop_path_rate=0.0,
        num_classes=3,
        out_channels=None,
        threshold=None,
        loss_decode=dict(_delete_=True, type='mamba_dense.CeDiceLoss'),
    ),
    test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(96, 96)),
)
