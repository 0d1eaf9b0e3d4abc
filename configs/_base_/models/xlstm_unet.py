# xLSTM-UNet over images, nano; a leaf names the variant and its widths
arch = 'nano'
widths = [8, 16, 32, 64]
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
    backbone=dict(type='mamba_dense.XLSTMEncoder', arch=arch),
    decode_head=dict(
        type='mamba_dense.DecoderHead',
        decoder=dict(
            type='mamba_dense.XLSTMDecoder',
            arch=arch,
            in_channels=widths,
            num_classes=2,
            deep_supervision=True,
        ),
        in_channels=widths,
        num_classes=2,
        # halved from map to map, the coarsest left out
        supervision=[2 / 3, 1 / 3, 0.0],
        loss_decode=dict(type='mamba_dense.NnUNetLoss', batch_dice=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
