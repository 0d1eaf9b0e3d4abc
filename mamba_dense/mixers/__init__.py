"""Token mixers: (B, *spatial, C) to the same shape, without norm, residual or drop path inside."""

from .bidirectional import BidirectionalMixer
from .es2d import ES2D
from .ss2d import SS2D, CascadeSS2D

__all__ = ['ES2D', 'SS2D', 'BidirectionalMixer', 'CascadeSS2D']
