"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .conv import CausalConv1d, ChannelLastConv2d
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .inverted_residual import InvertedResidual
from .mlp import Mlp
from .norm import ChannelFirstLayerNorm, RMSNorm
from .pyramid import FeaturePyramid, SimpleFeaturePyramid
from .residual_stem import ConvNormAct, InvertedDownsample, ResidualConvStem
from .rotary import rotary_tables, rotate

__all__ = [
    'CausalConv1d',
    'ChannelFirstLayerNorm',
    'ChannelLastConv2d',
    'ConvDownsample',
    'ConvNormAct',
    'ConvStem',
    'DropPath',
    'FeaturePyramid',
    'InvertedDownsample',
    'InvertedResidual',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'RMSNorm',
    'ResidualConvStem',
    'SimpleFeaturePyramid',
    'rotary_tables',
    'rotate',
]
