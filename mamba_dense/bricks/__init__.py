"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .conv import CausalConv1d, ChannelLastConv2d
from .conv_norm import ConvBatchNorm, SqueezeExcitation
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .extended_fpn import ExtendedFPN
from .mlp import Mlp
from .norm import ChannelFirstLayerNorm, RMSNorm
from .pyramid import FeaturePyramid, SimpleFeaturePyramid
from .rotary import rotary_tables, rotate

__all__ = [
    'CausalConv1d',
    'ChannelFirstLayerNorm',
    'ChannelLastConv2d',
    'ConvBatchNorm',
    'ConvDownsample',
    'ConvStem',
    'DropPath',
    'ExtendedFPN',
    'FeaturePyramid',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'RMSNorm',
    'SimpleFeaturePyramid',
    'SqueezeExcitation',
    'rotary_tables',
    'rotate',
]
