"""The gated convolution: what is left of a Mamba mixer without its state space model."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d


class GatedConv(nn.Module):
    """Part of the tokens' inner channels passes a depth-wise convolution, all of them a gate.

    With [g, i, v] = in_proj(x), of `hidden`, `hidden - conv_channels` and `conv_channels` channels,
    the result is out_proj(gelu(g) * [i, conv(v)]).

    Args:
        channels: width of the tokens.
        hidden: inner width, which is the gate's.
        conv_channels: inner channels that are convolved, the last ones.
        kernel: side of the convolution's window.

    Raises:
        ValueError: `conv_channels` exceeds `hidden`, or `kernel` is even.
    """

    NO_DECAY = ('in_proj.bias', 'conv.bias', 'out_proj.bias')

    def __init__(self, channels: int, hidden: int, conv_channels: int, *, kernel: int = 7):
        super().__init__()
        if not 0 < conv_channels <= hidden:
            raise ValueError(f'conv_channels={conv_channels} must lie in 1..hidden={hidden}.')
        if kernel % 2 == 0:
            raise ValueError(f'kernel={kernel} of a GatedConv must be odd, to keep the grid.')
        self.widths = (hidden, hidden - conv_channels, conv_channels)
        self.in_proj = nn.Linear(channels, 2 * hidden)
        self.conv = ChannelLastConv2d(
            conv_channels, conv_channels, kernel, padding=kernel // 2, groups=conv_channels
        )
        self.out_proj = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        gate, kept, moved = self.in_proj(x).split(self.widths, dim=-1)
        mixed = torch.cat([kept, self.conv(moved)], dim=-1)  # (B, H, W, hidden)
        return self.out_proj(F.gelu(gate) * mixed)
