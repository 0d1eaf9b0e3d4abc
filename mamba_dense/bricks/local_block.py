"""Mamba-YOLO's local parts: a residual convolution block and a gated perceptron (2406.05835)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ChannelLastConv2d
from .conv_silu import yolo_batch_norm


class LocalBlock(nn.Module):
    """LSBlock: x + fc2(gelu(fc1(norm(depth-wise convolution of x)))).

    Args:
        channels: width C, also between the two layers.
    """

    NO_DECAY = ('norm', 'conv.bias', 'fc1.bias', 'fc2.bias')

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = yolo_batch_norm(channels)
        self.fc1 = nn.Linear(channels, channels)
        self.fc2 = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        y = self.norm(self.conv(x.permute(0, 3, 1, 2)))  # (B, C, H, W)
        y = y.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        return x + self.fc2(F.gelu(self.fc1(y)))


class GatedConvMlp(nn.Module):
    """RGBlock: a perceptron of width int(8 C / 3) gated by a residual depth-wise convolution.

    Args:
        channels: width C.
    """

    NO_DECAY = ('fc1.bias', 'conv.bias', 'fc2.bias')

    def __init__(self, channels: int):
        super().__init__()
        hidden = int(2 * int(4 * channels) / 3)
        self.fc1 = nn.Linear(channels, 2 * hidden)
        self.conv = ChannelLastConv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        gate, value = torch.chunk(self.fc1(x), 2, dim=-1)  # 2 x (B, H, W, hidden)
        gate = gate.contiguous()
        return self.fc2(F.gelu(self.conv(gate) + gate) * value)
