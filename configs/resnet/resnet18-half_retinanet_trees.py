# for comparison: VMamba nano's data, heads and steps with a ResNet-18 of half width, from scratch
_base_ = '../vmamba/vmamba-nano_retinanet_trees.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        base_channels=32,
        out_indices=(1, 2, 3),
        norm_eval=False,
        style='pytorch',
    ),
)
