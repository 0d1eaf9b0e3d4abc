# ChangeMamba with the smallest backbone; the network (MambaBCD, MambaSCD, MambaBDA) is the leaf's
model = dict(
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(type='mamba_dense.VMamba', arch='nano'),
    decode_head=dict(channels=48, drop_path=0.0),
    test_cfg=dict(mode='whole'),
)
