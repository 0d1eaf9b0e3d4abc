# ChangeMamba-mini; the network (MambaBCD, MambaSCD, MambaBDA) is the leaf's
model = dict(
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(
        type='mamba_dense.VMamba',
        arch=dict(base='tiny_s2l5', depths=(2, 2, 4, 2), gated=True, mlp_ratio=0.0),
        drop_path_rate=0.2,
    ),
    decode_head=dict(channels=128, drop_path=0.1, block=dict(gated=True, mlp_ratio=0.0)),
    test_cfg=dict(mode='whole'),
)
