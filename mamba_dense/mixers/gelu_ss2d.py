"""Mamba-YOLO's SS2D: gated, GELU in place of SiLU, and an initialisation of its own."""

import torch
from torch import nn
from torch.nn import functional as F

from .ss2d import SS2D


class GeluSS2D(SS2D):
    """SS2D over the cross routes with GELU after the convolution and on the gate.

    Its step sizes have no special start: weights and biases of the step projection are drawn from
    the normal distribution, every A begins at -1 (arXiv 2406.05835, as released).

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
        state: state size N of each scan.
    """

    NO_DECAY = ('out_norm', 'conv.bias', 'dt_proj_bias')
    activation = staticmethod(F.gelu)

    def __init__(self, channels: int, *, ratio: float = 2.0, state: int = 16):
        super().__init__(channels, ratio=ratio, state=state, conv_bias=True, gated=True)
        with torch.no_grad():
            nn.init.normal_(self.dt_proj_weight)
            nn.init.normal_(self.dt_proj_bias)
            nn.init.zeros_(self.A_log)
