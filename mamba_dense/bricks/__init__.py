"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .channel_gate import ChannelGate
from .conv import CausalConv1d, ChannelLastConv2d
from .conv_mlp import ConvMlp
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .mlp import Mlp
from .norm import ChannelFirstLayerNorm, RMSNorm
from .pyramid import FeaturePyramid, SimpleFeaturePyramid
from .residual_stem import ConvNormAct, InvertedDownsample, ResidualConvStem
from .rotary import rotary_tables, rotate

__all__ = [
    'CausalConv1d',
    'ChannelFirstLayerNorm',
    'ChannelGate',
    'ChannelLastConv2d',
    'ConvDownsample',
    'ConvMlp',
    'ConvNormAct',
    'ConvStem',
    'DropPath',
    'FeaturePyramid',
    'InvertedDownsample',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'RMSNorm',
    'ResidualConvStem',
    'SimpleFeaturePyramid',
    'rotary_tables',
    'rotate',
]
