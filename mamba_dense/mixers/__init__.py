"""Token mixers: (B, *spatial, C) to the same shape, without norm, residual or drop path inside."""

from .bidirectional import BidirectionalMixer
from .multi_receptive import MultiReceptiveMixer, NormedSS2D, WaveletScan
from .ss2d import SS2D, CascadeSS2D

__all__ = [
    'SS2D',
    'BidirectionalMixer',
    'CascadeSS2D',
    'MultiReceptiveMixer',
    'NormedSS2D',
    'WaveletScan',
]
