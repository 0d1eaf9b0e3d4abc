"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .channel_gate import ChannelGate
from .conv import CausalConv1d, ChannelLastConv2d
from .conv_batch_norm import ConvBatchNorm, SqueezeExcitation
from .conv_mlp import ConvMlp
from .conv_norm import ConvNorm, ConvNormMlp
from .conv_silu import ConvSiLU, ConvSiLUStem, PooledPyramid, SpaceToDepth, yolo_batch_norm
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .extended_fpn import ExtendedFPN
from .inverted_residual import InvertedResidual
from .local_block import GatedConvMlp, LocalBlock
from .mlp import Mlp
from .norm import ChannelFirstLayerNorm, RMSNorm
from .pyramid import FeaturePyramid, SimpleFeaturePyramid
from .residual_stem import ConvNormAct, InvertedDownsample, ResidualConvStem
from .rotary import rotary_tables, rotate
from .squeeze_excite import SqueezeExcite
from .statistics import batch_norms, held_statistics
from .wavelet import Haar, haar_filters

__all__ = [
    'CausalConv1d',
    'ChannelFirstLayerNorm',
    'ChannelGate',
    'ChannelLastConv2d',
    'ConvBatchNorm',
    'ConvDownsample',
    'ConvMlp',
    'ConvNorm',
    'ConvNormAct',
    'ConvNormMlp',
    'ConvSiLU',
    'ConvSiLUStem',
    'ConvStem',
    'DropPath',
    'ExtendedFPN',
    'FeaturePyramid',
    'GatedConvMlp',
    'Haar',
    'InvertedDownsample',
    'InvertedResidual',
    'LocalBlock',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'PooledPyramid',
    'RMSNorm',
    'ResidualConvStem',
    'SimpleFeaturePyramid',
    'SpaceToDepth',
    'SqueezeExcitation',
    'SqueezeExcite',
    'batch_norms',
    'haar_filters',
    'held_statistics',
    'rotary_tables',
    'rotate',
    'yolo_batch_norm',
]
