# LightM-UNet over images, the released network
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=8,
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(type='mamba_dense.LightMEncoder', arch='base'),
    decode_head=dict(
        type='mamba_dense.DecoderHead',
        decoder=dict(
            type='mamba_dense.LightMDecoder', in_channels=[32, 64, 128, 256], num_classes=2
        ),
        in_channels=[32, 64, 128, 256],
        num_classes=2,
        loss_decode=dict(type='mamba_dense.NnUNetLoss', batch_dice=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
