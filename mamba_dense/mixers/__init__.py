"""Token mixers: (B, *spatial, C) to the same shape, without norm, residual or drop path inside."""

from .attention import SelfAttention
from .bidirectional import BidirectionalMixer
from .causal import CausalMixer
from .es2d import ES2D
from .gated_conv import GatedConv
from .gelu_ss2d import GeluSS2D
from .hidden_state import HiddenStateMixer
from .multi_head_scan import MultiHeadMixer, MultiHeadScan, ScanHead, gated_fusion
from .multi_receptive import MultiReceptiveMixer, NormedSS2D, WaveletScan
from .multiscale import MultiScaleSS2D
from .noncausal_ssd import NonCausalSSD
from .ss2d import SS2D, CascadeSS2D
from .vision_lstm import GroupedLinear, MatrixLSTM, MultiHeadNorm, VisionLSTM

__all__ = [
    'BidirectionalMixer',
    'CascadeSS2D',
    'CausalMixer',
    'ES2D',
    'GatedConv',
    'GeluSS2D',
    'GroupedLinear',
    'HiddenStateMixer',
    'MatrixLSTM',
    'MultiHeadMixer',
    'MultiHeadNorm',
    'MultiHeadScan',
    'MultiReceptiveMixer',
    'MultiScaleSS2D',
    'NonCausalSSD',
    'NormedSS2D',
    'SS2D',
    'ScanHead',
    'SelfAttention',
    'VisionLSTM',
    'WaveletScan',
    'gated_fusion',
]
