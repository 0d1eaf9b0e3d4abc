"""Detection and instance segmentation over mmdet: networks, data preparation, what mmdet lacks."""

from mamba_dense.detection.assigner import InsideTaskAlignedAssigner
from mamba_dense.detection.cascade import OneMaskCascadeRoIHead
from mamba_dense.detection.fer_yolo import FERYOLOPAFPN
from mamba_dense.detection.head import MambaYOLOHead
from mamba_dense.detection.letterbox import LetterBox
from mamba_dense.detection.loss import CompleteIoULoss
from mamba_dense.detection.mamba_yolo import MambaYOLODetector
from mamba_dense.detection.mask_head import MambaYOLOMaskHead
from mamba_dense.detection.metrics import CocoScores
from mamba_dense.detection.mosaic import (
    CentredAffine,
    ClosingMixDataset,
    HSVGains,
    MosaicOfFour,
    SteppedResize,
)
from mamba_dense.detection.neck import MambaYOLOPAFPN
from mamba_dense.detection.per_image import CocoScoresPerImage
from mamba_dense.detection.ssd_head import SSDHead
from mamba_dense.detection.transforms import CropAtObject, RandomTranspose

__all__ = [
    'CentredAffine',
    'ClosingMixDataset',
    'CocoScores',
    'CocoScoresPerImage',
    'CompleteIoULoss',
    'CropAtObject',
    'FERYOLOPAFPN',
    'HSVGains',
    'InsideTaskAlignedAssigner',
    'LetterBox',
    'MambaYOLODetector',
    'MambaYOLOHead',
    'MambaYOLOMaskHead',
    'MambaYOLOPAFPN',
    'MosaicOfFour',
    'OneMaskCascadeRoIHead',
    'RandomTranspose',
    'SSDHead',
    'SteppedResize',
]
