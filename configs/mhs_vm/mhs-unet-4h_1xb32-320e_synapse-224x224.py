# from the history of the authors' repository, which states neither its result nor the period of
# its cosine (VM-UNet's is taken); not trained by us
_base_ = [
    '../_base_/models/mhs_unet.py',
    '../_base_/datasets/synapse_slices.py',
    '../_base_/schedules/adamw_cosine_300e_synapse.py',
    '../_base_/default_runtime.py',
]
model = dict(
    decode_head=dict(
        num_classes=9,
        out_channels=None,
        threshold=None,
        loss_decode=dict(_delete_=True, type='mamba_dense.CeDiceLoss'),
    ),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=100, begin=0, end=320, eta_min=1e-5, by_epoch=True),
]
train_cfg = dict(max_epochs=320, val_interval=50)
log_processor = dict(by_epoch=True)
randomness = dict(seed=42)
