"""Parts that several mixers and backbones are built from; torch only, tensors (B, *spatial, C)."""

from .conv import CausalConv1d, ChannelLastConv2d
from .conv_mlp import ConvMlp
from .conv_norm import ConvNorm, ConvNormMlp, ExemptConvNorm
from .conv_silu import ConvSiLU, ConvSiLUStem, PooledPyramid, SpaceToDepth, yolo_batch_norm
from .downsample import ConvDownsample, PatchMerging
from .drop import DropPath
from .embed import ConvStem, PatchEmbed
from .expand import PatchExpand
from .extended_fpn import ExtendedFPN
from .inverted_residual import InvertedResidual
from .local_block import GatedConvMlp, LocalBlock
from .mixer_block import MixerBlock
from .mlp import Mlp
from .norm import ChannelFirstGroupNorm, ChannelFirstLayerNorm, OffsetLayerNorm, RMSNorm
from .pyramid import FeaturePyramid, SimpleFeaturePyramid
from .residual import ResidualBlock, init_he, residual_blocks
from .residual_stem import InvertedDownsample, ResidualConvStem
from .rotary import rotary_tables, rotate
from .spatial import CONV, INTERPOLATION, MAX_POOL, SeparableConv, check_spatial_dims, per_axis
from .squeeze_excite import SqueezeExcite
from .statistics import batch_norms, held_statistics
from .wavelet import Haar, haar_filters

__all__ = [
    'CONV',
    'CausalConv1d',
    'ChannelFirstGroupNorm',
    'ChannelFirstLayerNorm',
    'ChannelLastConv2d',
    'ConvDownsample',
    'ConvMlp',
    'ConvNorm',
    'ConvNormMlp',
    'ConvSiLU',
    'ConvSiLUStem',
    'ConvStem',
    'DropPath',
    'ExemptConvNorm',
    'ExtendedFPN',
    'FeaturePyramid',
    'GatedConvMlp',
    'Haar',
    'INTERPOLATION',
    'InvertedDownsample',
    'InvertedResidual',
    'LocalBlock',
    'MAX_POOL',
    'MixerBlock',
    'Mlp',
    'OffsetLayerNorm',
    'PatchEmbed',
    'PatchExpand',
    'PatchMerging',
    'PooledPyramid',
    'RMSNorm',
    'ResidualBlock',
    'ResidualConvStem',
    'SeparableConv',
    'SimpleFeaturePyramid',
    'SpaceToDepth',
    'SqueezeExcite',
    'batch_norms',
    'check_spatial_dims',
    'haar_filters',
    'held_statistics',
    'init_he',
    'per_axis',
    'residual_blocks',
    'rotary_tables',
    'rotate',
    'yolo_batch_norm',
]
