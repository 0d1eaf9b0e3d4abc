# VM-UNet as trained by its authors: VMamba's first generation, two blocks a stage, mirrored
arch = dict(base='vanilla_tiny', depths=(2, 2, 2, 2))
model = dict(
    type='mamba_dense.VMUNet',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(type='mamba_dense.VMamba', arch=arch, output_norm=False),
    decode_head=dict(
        type='mamba_dense.VMUNetHead',
        in_channels=[96, 192, 384, 768],
        arch=arch,
        depths=(2, 2, 2, 1),
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type='mamba_dense.BceDiceLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
