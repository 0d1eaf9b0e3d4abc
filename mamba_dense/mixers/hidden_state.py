"""The hidden state mixer: state space duality whose channels are mixed among the states."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d


class HiddenStateMixer(nn.Module):
    """HSM-SSD (EfficientViM, arXiv 2411.15241): tokens are summed into N states, mixed, given back.

    With [B, C, dt] = conv(params(x)), N channels each, and a = softmax of dt over all tokens,

        h = sum over tokens of x a B,    [h, z] = in_proj(h),    h = out_proj(h (silu(z) + D)),

    and a token's result is the sum over the states of C h. The authors add a parameter A, one
    number for each state, to dt before the softmax over tokens, where it cancels: its gradient is
    zero. It is kept for their files' sake, frozen and never read.

    Args:
        channels: width of the tokens.
        states: number N of hidden states.
        ratio: inner width of the states over `channels`.
    """

    NO_DECAY = ('A', 'D')

    def __init__(self, channels: int, states: int, *, ratio: float = 1.0):
        super().__init__()
        inner = int(ratio * channels)
        self.params = nn.Linear(channels, 3 * states, bias=False)
        self.conv = ChannelLastConv2d(
            3 * states, 3 * states, 3, padding=1, groups=3 * states, bias=False
        )
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.A = nn.Parameter(torch.empty(states).uniform_(1, 16), requires_grad=False)
        self.D = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens x (B, H, W, C) to the same shape, and the states (B, N, C)."""
        B, C, dt = self.conv(self.params(x)).flatten(1, 2).chunk(3, dim=-1)  # 3 x (B, L, N)
        weight = dt.softmax(dim=1) * B
        h = weight.mT @ x.flatten(1, 2)  # (B, N, C)
        h, z = self.in_proj(h).chunk(2, dim=-1)  # 2 x (B, N, inner)
        h = self.out_proj(h * (F.silu(z) + self.D))  # (B, N, C)
        return (C @ h).view(x.shape), h
