# MONAI's residual U-Net as mmseg's EncoderDecoder, for the bundled brain's slices enlarged four
# times: the network ends in logits, the head adds the loss
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[170.0, 170.0, 170.0],
        std=[40.0, 40.0, 40.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='monai.networks.nets.UNet',
        spatial_dims=2,
        in_channels=3,
        out_channels=3,
        channels=(18, 36, 72, 144, 288),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    ),
    decode_head=dict(
        type='mamba_dense.DecoderHead',
        in_channels=3,
        num_classes=3,
        loss_decode=dict(type='mamba_dense.CeDiceLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(96, 96)),
)
