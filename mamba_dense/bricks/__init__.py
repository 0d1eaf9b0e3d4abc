"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .conv import ChannelLastConv2d
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .mlp import Mlp

__all__ = [
    'ChannelLastConv2d',
    'ConvDownsample',
    'ConvStem',
    'DropPath',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
]
