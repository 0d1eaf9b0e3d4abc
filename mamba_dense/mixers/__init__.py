"""Token mixers: (B, *spatial, C) to the same shape, without norm, residual or drop path inside."""

from .attention import SelfAttention
from .bidirectional import BidirectionalMixer
from .multiscale import MultiScaleSS2D
from .noncausal_ssd import NonCausalSSD
from .ss2d import SS2D, CascadeSS2D

__all__ = [
    'SS2D',
    'BidirectionalMixer',
    'CascadeSS2D',
    'MultiScaleSS2D',
    'NonCausalSSD',
    'SelfAttention',
]
