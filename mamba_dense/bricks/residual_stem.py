"""MLLA's stem and downsampling (arXiv 2405.16605): convolutions with BatchNorm and ReLU."""

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ChannelLastConv2d
from .conv_norm import ExemptConvNorm


class ResidualConvStem(nn.Module):
    """Two 3x3 convolutions of stride 2 with a residual pair of convolutions between them.

    Nothing follows the residual sum; the second stride widens to four times the tokens' width
    before a 1x1 convolution brings it back.

    Args:
        in_channels: channels of the image.
        channels: width C of a token.

    Raises:
        ValueError: `channels` is odd.
    """

    stride = 4
    min_size = 1

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        if channels % 2:
            raise ValueError(
                f'channels={channels} of a ResidualConvStem must be even: it starts at half.'
            )
        half = channels // 2
        self.conv1 = ExemptConvNorm(in_channels, half, 3, stride=2, relu=True)
        self.conv2 = nn.Sequential(
            ExemptConvNorm(half, half, 3, relu=True),
            ExemptConvNorm(half, half, 3),
        )
        self.conv3 = nn.Sequential(
            ExemptConvNorm(half, 4 * channels, 3, stride=2, relu=True),
            ExemptConvNorm(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to tokens (B, ceil(H / 4), ceil(W / 4), channels)."""
        x = self.conv1(x)  # (B, ceil(H / 2), ceil(W / 2), C / 2)
        return self.conv3(self.conv2(x) + x)


class InvertedDownsample(nn.Module):
    """An inverted residual without the residual: widen, depth-wise 3x3 of stride 2, narrow, norm.

    The only BatchNorm is the last layer's; the two before it have ReLU alone.

    Args:
        channels: width before.
        out_channels: width after.
        ratio: width between over the width after.
    """

    def __init__(self, channels: int, out_channels: int, *, ratio: float = 4.0):
        super().__init__()
        hidden = int(out_channels * ratio)
        self.expand = ChannelLastConv2d(channels, hidden, 1)
        self.reduce = ChannelLastConv2d(hidden, hidden, 3, stride=2, padding=1, groups=hidden)
        self.project = ExemptConvNorm(hidden, out_channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        return self.project(F.relu(self.reduce(F.relu(self.expand(x)))))
