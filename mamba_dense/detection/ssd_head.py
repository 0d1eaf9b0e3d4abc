"""mmdet's SSD head, which predicts."""

from mmdet.models.dense_heads import SSDHead as MmdetSSDHead

from mamba_dense.registry import MODELS


@MODELS.register_module()
class SSDHead(MmdetSSDHead):
    """As mmdet's of the same name and arguments.

    mmdet's own trains and fails when it predicts: since 3.2 its bases read `loss_cls`, which this
    head does not have (open-mmlab/mmdetection, issue 11063).
    """

    loss_cls = None
