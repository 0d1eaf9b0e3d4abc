"""Detection and instance segmentation over mmdet: data preparation and what mmdet lacks."""

from mamba_dense.detection.cascade import OneMaskCascadeRoIHead
from mamba_dense.detection.fer_yolo import FERYOLOPAFPN
from mamba_dense.detection.metrics import CocoScores
from mamba_dense.detection.per_image import CocoScoresPerImage
from mamba_dense.detection.ssd_head import SSDHead
from mamba_dense.detection.transforms import CropAtObject, RandomTranspose

__all__ = [
    'FERYOLOPAFPN',
    'CocoScores',
    'CocoScoresPerImage',
    'CropAtObject',
    'OneMaskCascadeRoIHead',
    'RandomTranspose',
    'SSDHead',
]
