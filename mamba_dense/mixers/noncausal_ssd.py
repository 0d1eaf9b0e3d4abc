"""Non-causal state space duality (VSSD, arXiv 2407.18559, section 3.2).

Mamba-2's layer without the decay between tokens: what is left of dt and A is a weight of each
token and head, so the state is one sum over the whole map and no order of tokens matters. Two
matrix products; nothing is scanned.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d
from . import init

A_MAX = 16.0  # |A| starts uniform in [1, 16]


class NonCausalSSD(nn.Module):
    """Gate, depth-wise convolution, one global state for each head, LayerNorm.

    Of Mamba-2 it differs in three ways that its weights depend on: the gate has no activation, the
    norm is a LayerNorm before the gate, and the tokens' weights are positive.

    Args:
        channels: width C of the tokens.
        heads: number of heads, which must divide the inner width.
        state: state size N, shared by the heads.
        ratio: inner width D over C.
        positive: whether the tokens' weights dt * A are |dt * A| (published) or keep the sign of
            Mamba's A (an ablation).

    Raises:
        ValueError: the inner width or the state is below one, or `heads` does not divide D.
    """

    NO_DECAY = ('out_norm',)

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        state: int = 64,
        ratio: float = 2.0,
        positive: bool = True,
    ):
        super().__init__()
        dim = int(ratio * channels)
        if dim < 1 or state < 1:
            raise ValueError(
                f'ratio={ratio} of {channels} channels and state={state} must leave at least '
                'one inner channel and one state.'
            )
        if heads < 1 or dim % heads:
            raise ValueError(f'heads={heads} of a NonCausalSSD must divide its inner width {dim}.')
        self.heads = heads
        self.sizes = (dim, state, state)  # of x, B, C
        self.positive = positive
        mixed = sum(self.sizes)
        self.in_proj = nn.Linear(channels, dim + mixed + heads, bias=False)
        self.conv = ChannelLastConv2d(mixed, mixed, 3, padding=1, groups=mixed)
        self.dt_bias = nn.Parameter(init.dt_bias(1, heads)[0])
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1.0, A_MAX).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.out_norm = nn.LayerNorm(dim)
        self.out_proj = nn.Linear(dim, channels, bias=False)

    def _weights(self, dt: Tensor) -> Tensor:
        """dt * |A| of every token and head, in float32 at least; dt (B, H, W, heads)."""
        dt = dt.to(torch.promote_types(dt.dtype, torch.float32))
        decay = init.decay(self.A_log)
        return F.softplus(dt + self.dt_bias) * (-decay if self.positive else decay)

    def _mix(self, x: Tensor, B: Tensor, C: Tensor, weight: Tensor) -> Tensor:
        """C_i . (sum over all tokens j of B_j weight_j x_j) + D x_i; B, C (batch, L, N).

        The state travels as the tokens' mean: a sum over a large map would leave half precision.
        """
        length = x.shape[1]
        x = x.unflatten(-1, (self.heads, -1))  # (batch, L, heads, P)
        weighted = (x * (weight / length).unsqueeze(-1)).flatten(2)  # (batch, L, D)
        state = B.transpose(1, 2) @ weighted.to(B.dtype)  # (batch, N, D)
        y = (C @ state).to(weighted.dtype) * length
        return y + (x * self.D[:, None]).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, H, W, C); same shape."""
        mixed = sum(self.sizes)
        gate, u, dt = self.in_proj(x).split((self.sizes[0], mixed, self.heads), dim=-1)
        u = F.silu(self.conv(u)).flatten(1, 2)  # (B, L, D + 2N)
        y = self._mix(*u.split(self.sizes, dim=-1), self._weights(dt).flatten(1, 2))
        y = self.out_norm(y).view(gate.shape).to(gate.dtype)
        return self.out_proj(y * gate)
