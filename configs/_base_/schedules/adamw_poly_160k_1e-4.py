# MambaOut's recipe: the paper says AdamW 1e-4, 160k iterations, batch 16 and fp16; the rest is as
# ConvNeXt has it
_base_ = './adamw_poly_160k.py'
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
)
