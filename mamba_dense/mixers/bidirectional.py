"""Vim's bidirectional mixer (arXiv 2401.09417, section 3.3): one projection, two causal branches.

The published form turns the sequence round for its second branch and back again. Here the tokens
stay where they are: that branch's convolution is turned instead, and its scan reads them along the
reversed route.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .causal import CausalBranch


class BidirectionalMixer(nn.Module):
    """Gate, a causal branch in each direction, their mean or sum, output projection.

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
        state: state size N of each scan.
        mean: whether the two branches are averaged, as in every published network, or added.
        layer_scale: where a factor for each output channel starts; None is without.

    Raises:
        ValueError: the inner width or the state is below one.

    The step-size rank is ceil(C / 16).
    """

    NO_DECAY = ('gamma',)

    def __init__(
        self,
        channels: int,
        *,
        ratio: float = 2.0,
        state: int = 16,
        mean: bool = True,
        layer_scale: float | None = None,
    ):
        super().__init__()
        dim = int(ratio * channels)
        if dim < 1 or state < 1:
            raise ValueError(
                f'ratio={ratio} of {channels} channels and state={state} must leave at least '
                'one inner channel and one state.'
            )
        rank = math.ceil(channels / 16)
        self.mean = mean
        self.in_proj = nn.Linear(channels, 2 * dim, bias=False)
        self.ahead = CausalBranch(dim, rank, state)
        self.back = CausalBranch(dim, rank, state, reverse=True)
        self.out_proj = nn.Linear(dim, channels, bias=False)
        self.gamma = None
        if layer_scale is not None:
            self.gamma = nn.Parameter(torch.full((channels,), float(layer_scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, *spatial, C) in raster order; same shape."""
        u = self.in_proj(x).flatten(1, -2)  # (B, L, 2D)
        u, gate = u.chunk(2, dim=-1)  # 2 x (B, L, D)
        y = self.ahead(u) + self.back(u)
        gate = F.silu(gate)
        y = self.out_proj(y * (gate / 2 if self.mean else gate)).view(x.shape)
        return y if self.gamma is None else y * self.gamma
