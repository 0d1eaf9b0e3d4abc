"""Medical segmentation: U-shaped networks, losses and scores; 2-D over mmseg."""

from mamba_dense.medical.decoder_head import DecoderHead
from mamba_dense.medical.losses import BceDiceLoss, CeDiceLoss
from mamba_dense.medical.metrics import PooledScores
from mamba_dense.medical.nnunet_loss import NnUNetLoss
from mamba_dense.medical.transforms import MinMaxIntensity
from mamba_dense.medical.unet import MHSUNetHead, VMUNet, VMUNetHead

__all__ = [
    'BceDiceLoss',
    'CeDiceLoss',
    'DecoderHead',
    'MHSUNetHead',
    'MinMaxIntensity',
    'NnUNetLoss',
    'PooledScores',
    'VMUNet',
    'VMUNetHead',
]
