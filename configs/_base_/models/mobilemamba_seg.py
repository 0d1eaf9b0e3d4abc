# what the segmentors on MobileMamba share; the heads' bases add decode_head, auxiliary_head, neck
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    # the authors' files lie on a drive: fetch one by hand and name it in init_cfg, as the
    # read-me shows
    backbone=dict(type='mamba_dense.MobileMamba', arch='b4', out_indices=(0, 1, 2)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
