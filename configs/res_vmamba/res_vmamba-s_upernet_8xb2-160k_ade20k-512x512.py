# no result is published; the recipe is that of VMamba's first generation
_base_ = [
    '../_base_/models/upernet_res_vmamba.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_poly_160k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(arch='small'),
)
