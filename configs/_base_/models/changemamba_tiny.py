# ChangeMamba-tiny; the network (MambaBCD, MambaSCD, MambaBDA) is the leaf's
# the ImageNet file has a fifth block in the third stage, which the authors leave out as well
model = dict(
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(
        type='mamba_dense.VMamba',
        arch=dict(base='tiny_s2l5', depths=(2, 2, 4, 2)),
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/vssm_tiny_0230_ckpt_epoch_262.pth',
            drop=(r'^layers\.2\.blocks\.4\.',),
        ),
    ),
    decode_head=dict(channels=128, drop_path=0.1),
    test_cfg=dict(mode='whole'),
)
