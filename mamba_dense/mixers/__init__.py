"""Token mixers: (B, *spatial, C) to the same shape, without norm, residual or drop path inside."""

from .bidirectional import BidirectionalMixer
from .gated_conv import GatedConv
from .hidden_state import HiddenStateMixer
from .ss2d import SS2D, CascadeSS2D

__all__ = ['SS2D', 'BidirectionalMixer', 'CascadeSS2D', 'GatedConv', 'HiddenStateMixer']
