# ChangeMamba-base; the network (MambaBCD, MambaSCD, MambaBDA) is the leaf's
model = dict(
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(
        type='mamba_dense.VMamba',
        arch='base_s2l15',
        drop_path_rate=0.6,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/vssm_base_0229_ckpt_epoch_237.pth',
        ),
    ),
    decode_head=dict(channels=128, drop_path=0.1),
    test_cfg=dict(mode='whole'),
)
