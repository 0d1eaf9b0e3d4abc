"""Stems: from an image to the tokens of the first stage."""

from torch import Tensor, nn

from .conv import ChannelLastConv2d


class PatchEmbed(nn.Module):
    """One convolution over patches that do not overlap, then LayerNorm (ViT, Swin).

    The last rows and columns that fill no whole patch are left out: H becomes H // patch.

    Args:
        in_channels: channels of the image.
        channels: width of a token.
        patch: side of a patch in pixels.
    """

    def __init__(self, in_channels: int, channels: int, *, patch: int = 4):
        super().__init__()
        self.stride = patch
        self.min_size = patch
        self.conv = ChannelLastConv2d(in_channels, channels, patch, stride=patch)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to tokens (B, H // patch, W // patch, channels)."""
        return self.norm(self.conv(x))


class ConvStem(nn.Module):
    """Two overlapping 3x3 convolutions of stride 2 with LayerNorm; GELU between them.

    Args:
        in_channels: channels of the image.
        channels: width of a token; the first convolution has half of it.
        eps: of the norms.

    Raises:
        ValueError: `channels` is odd.
    """

    stride = 4
    min_size = 1

    def __init__(self, in_channels: int, channels: int, *, eps: float = 1e-5):
        super().__init__()
        if channels % 2:
            raise ValueError(f'channels={channels} of a ConvStem must be even: it starts at half.')
        self.conv = ChannelLastConv2d(in_channels, channels // 2, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels // 2, eps=eps)
        self.act = nn.GELU()
        self.conv2 = ChannelLastConv2d(channels // 2, channels, 3, stride=2, padding=1)
        self.norm2 = nn.LayerNorm(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to tokens (B, ceil(H / 4), ceil(W / 4), channels)."""
        x = self.act(self.norm(self.conv(x)))
        return self.norm2(self.conv2(x))
