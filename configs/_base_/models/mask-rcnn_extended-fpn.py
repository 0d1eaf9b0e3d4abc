# Mask R-CNN on three maps of strides 16, 32 and 64: the neck adds the strides 8 and 4; a leaf says
# the backbone and neck.in_channels
_base_ = './mask-rcnn_vmamba.py'
model = dict(
    # as the authors: statistics of batch norms are those of the classifier
    backbone=dict(_delete_=True, type='mamba_dense.EfficientViM', arch='m4', norm_eval=True),
    neck=dict(
        _delete_=True,
        type='mamba_dense.ExtendedFPN',
        in_channels=[224, 320, 512],
        out_channels=256,
        finer=2,
    ),
)
