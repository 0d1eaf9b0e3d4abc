"""Medical segmentation: U-shaped networks, losses, scores; 2-D over mmseg, 3-D over MONAI."""

from mamba_dense.medical.case_metrics import CaseScores
from mamba_dense.medical.cases import CaseDataset
from mamba_dense.medical.decoder_head import DecoderHead
from mamba_dense.medical.gain import RandSmoothGaind
from mamba_dense.medical.lightm_unet import LightMDecoder
from mamba_dense.medical.losses import BceDiceLoss, CeDiceLoss
from mamba_dense.medical.metrics import PooledScores
from mamba_dense.medical.monai_transforms import MonaiTransforms
from mamba_dense.medical.nnunet_loss import NnUNetLoss
from mamba_dense.medical.picture_metrics import InstanceF1, PresentScores
from mamba_dense.medical.segmentor import VolumeSegmentor
from mamba_dense.medical.slice_scores import SliceCaseScores
from mamba_dense.medical.transforms import (
    MinMaxIntensity,
    SmoothGain,
    TurnOrTilt,
    UnitIntensity,
    ZoomSlice,
)
from mamba_dense.medical.unet import MHSUNetHead, VMUNet, VMUNetHead
from mamba_dense.medical.xlstm_unet import XLSTMDecoder

__all__ = [
    'BceDiceLoss',
    'CaseDataset',
    'CaseScores',
    'CeDiceLoss',
    'DecoderHead',
    'InstanceF1',
    'LightMDecoder',
    'MHSUNetHead',
    'MinMaxIntensity',
    'MonaiTransforms',
    'NnUNetLoss',
    'PooledScores',
    'PresentScores',
    'RandSmoothGaind',
    'SliceCaseScores',
    'SmoothGain',
    'TurnOrTilt',
    'UnitIntensity',
    'VMUNet',
    'VMUNetHead',
    'VolumeSegmentor',
    'XLSTMDecoder',
    'ZoomSlice',
]
