"""Mamba's own mixer (arXiv 2312.00752, section 3.4): tokens in raster order, one way.

Its branch, a causal convolution and a selective scan, is what Vim's mixer has in each direction.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_kernels import route_scan

from ..bricks import CausalConv1d
from ..routes import routes
from . import init

CONV_WIDTH = 4


class CausalBranch(nn.Module):
    """Convolution, SiLU and selective scan along one direction of a sequence.

    Args:
        dim: width D of the tokens.
        rank: rank R of the step size.
        state: state size N.
        reverse: whether the sequence runs from its last token to its first.

    The published start differs between the two: the reverse branch's step sizes begin at
    softplus(0), not at those of Mamba.
    """

    NO_DECAY = ('conv.bias', 'dt_proj_bias', 'D')

    def __init__(self, dim: int, rank: int, state: int, *, reverse: bool = False):
        super().__init__()
        self.route = 'backward' if reverse else 'forward'
        self.conv = CausalConv1d(dim, CONV_WIDTH, reverse=reverse)
        self.x_proj_weight = nn.Parameter(init.x_proj_weight(1, rank + 2 * state, dim)[0])
        self.dt_proj_weight = nn.Parameter(init.dt_weight(1, dim, rank)[0])
        self.dt_proj_bias = nn.Parameter(torch.zeros(dim) if reverse else init.dt_bias(1, dim)[0])
        self.A_log = nn.Parameter(init.a_log(1, dim, state)[0])
        self.D = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, D) to the same shape."""
        x = F.silu(self.conv(x))
        params = F.linear(x, self.x_proj_weight)  # (B, L, R + 2N)
        return route_scan(
            x,
            params.unsqueeze(2),
            self.dt_proj_weight.unsqueeze(0),
            self.dt_proj_bias.unsqueeze(0),
            init.decay(self.A_log).unsqueeze(0),
            self.D.unsqueeze(0),
            routes(self.route, x.shape[1:2]).on(x.device),
        )


class CausalMixer(nn.Module):
    """Mamba's block: input projection, a causal branch, SiLU gate, output projection.

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
        state: state size N of the scan.

    Raises:
        ValueError: the inner width or the state is below one.

    The step-size rank is ceil(C / 16).
    """

    def __init__(self, channels: int, *, ratio: float = 2.0, state: int = 16):
        super().__init__()
        dim = int(ratio * channels)
        if dim < 1 or state < 1:
            raise ValueError(
                f'ratio={ratio} of {channels} channels and state={state} must leave at least '
                'one inner channel and one state.'
            )
        self.in_proj = nn.Linear(channels, 2 * dim, bias=False)
        self.branch = CausalBranch(dim, math.ceil(channels / 16), state)
        self.out_proj = nn.Linear(dim, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, *spatial, C) in raster order; same shape."""
        tokens = x.flatten(1, -2)  # (B, L, C)
        # two products, not one to be cut: what follows is faster on contiguous halves
        u, gate = [F.linear(tokens, half) for half in self.in_proj.weight.chunk(2)]  # (B, L, D)
        return self.out_proj(self.branch(u) * F.silu(gate)).view(x.shape)
