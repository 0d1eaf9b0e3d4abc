"""Mamba-YOLO as one detector: mmdet's single-stage detector that reads the authors' files."""

from mmdet.models.detectors import SingleStageDetector

from mamba_dense.backbones.mamba_yolo import BLOCK_KEYS, RESHAPE, TRUNK_KEYS
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap

# the authors' layers of the neck, in ours
NECK_KEYS = (
    (r'^model\.11\.', 'neck.top_down.0.'),
    (r'^model\.14\.', 'neck.top_down.1.'),
    (r'^model\.15\.', 'neck.downsamples.0.'),
    (r'^model\.17\.', 'neck.bottom_up.0.'),
    (r'^model\.18\.', 'neck.downsamples.1.'),
    (r'^model\.20\.', 'neck.bottom_up.1.'),
)
HEAD_KEYS = (
    (r'^model\.21\.cv2\.', 'bbox_head.box_towers.'),
    (r'^model\.21\.cv3\.', 'bbox_head.cls_towers.'),
    (r'^model\.21\.cv4\.', 'bbox_head.coefficient_towers.'),
    (r'^model\.21\.dfl\.conv\.weight$', 'bbox_head.distances.project'),
    (r'^model\.21\.dfl\.', 'bbox_head.distances.'),
    (r'^model\.21\.proto\.cv(\d)\.', r'bbox_head.prototypes.conv\1.'),
    (r'^model\.21\.proto\.', 'bbox_head.prototypes.'),
    (r'^model\.21\.', 'bbox_head.'),
)
_BACKBONE = (r'^(stem|stages)\.', r'backbone.\1.')
AUTHOR_KEYS = KeyMap(
    rename=(
        *TRUNK_KEYS,
        _BACKBONE,
        *NECK_KEYS,
        *HEAD_KEYS,
        *BLOCK_KEYS,
    ),
    reshape=(*RESHAPE, r'^bbox_head\.distances\.project$'),
    inputs=(r'^backbone\.stem\.conv\.weight$',),
)


@MODELS.register_module()
class MambaYOLODetector(SingleStageDetector):
    """mmdet's SingleStageDetector, same arguments, whose files may bear the authors' names.

    Backbone, neck and head are parts of their own: any of them works in another detector of mmdet,
    and this one takes others; the authors' files fit the published combination alone.
    """

    AUTHOR_KEYS = AUTHOR_KEYS
