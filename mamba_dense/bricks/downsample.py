"""Between two stages: half the grid, more channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ChannelLastConv2d


class ConvDownsample(nn.Module):
    """A 3x3 convolution of stride 2, then LayerNorm.

    Args:
        channels: width before.
        out_channels: width after.
        eps: of the norm.
    """

    def __init__(self, channels: int, out_channels: int, *, eps: float = 1e-5):
        super().__init__()
        self.conv = ChannelLastConv2d(channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(out_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        return self.norm(self.conv(x))


class PatchMerging(nn.Module):
    """Swin's patch merging: the four neighbours side by side, LayerNorm, then one projection.

    An odd grid gets a zero row at the bottom or a zero column at the right.

    Args:
        channels: width before.
        out_channels: width after.
        crop: leave the last row or column of an odd grid out instead, as VM-UNet does.
    """

    NO_DECAY = ('norm',)

    def __init__(self, channels: int, out_channels: int, *, crop: bool = False):
        super().__init__()
        self.crop = crop
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, out_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        B, H, W, C = x.shape
        if self.crop:
            x = x[:, : H // 2 * 2, : W // 2 * 2]
        elif H % 2 or W % 2:
            x = F.pad(x, (0, 0, 0, W % 2, 0, H % 2))
        quarters = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = torch.cat(quarters, dim=-1)  # (B, ceil(H / 2), ceil(W / 2), 4C)
        return self.reduction(self.norm(x))
