"""MLLA's stem and downsampling (arXiv 2405.16605): convolutions with BatchNorm and ReLU."""

from torch import Tensor, nn


class ConvNormAct(nn.Module):
    """Convolution, BatchNorm unless left out, ReLU unless left out; (B, C, H, W) at its door.

    Args:
        channels: width before.
        out_channels: width after.
        kernel: side of the kernel, padded so that stride 1 keeps the size.
        stride: of the convolution.
        groups: of the convolution.
        bias: whether the convolution has one.
        norm: whether BatchNorm follows.
        act: whether ReLU follows.
    """

    NO_DECAY = ('norm',)

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        act: bool = True,
    ):
        super().__init__()
        self.conv = nn.Conv2d(
            channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=bias,
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.act = nn.ReLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        return self.act(self.norm(self.conv(x)))


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
        self.conv1 = ConvNormAct(in_channels, half, 3, stride=2)
        self.conv2 = nn.Sequential(
            ConvNormAct(half, half, 3),
            ConvNormAct(half, half, 3, act=False),
        )
        self.conv3 = nn.Sequential(
            ConvNormAct(half, 4 * channels, 3, stride=2),
            ConvNormAct(4 * channels, channels, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to tokens (B, ceil(H / 4), ceil(W / 4), channels)."""
        x = self.conv1(x.permute(0, 3, 1, 2))  # (B, C / 2, ceil(H / 2), ceil(W / 2))
        x = self.conv3(self.conv2(x) + x)  # (B, C, ceil(H / 4), ceil(W / 4))
        return x.permute(0, 2, 3, 1).contiguous()


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
        self.expand = ConvNormAct(channels, hidden, 1, bias=True, norm=False)
        self.reduce = ConvNormAct(hidden, hidden, 3, stride=2, groups=hidden, bias=True, norm=False)
        self.project = ConvNormAct(hidden, out_channels, 1, bias=True, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        x = self.project(self.reduce(self.expand(x.permute(0, 3, 1, 2))))
        return x.permute(0, 2, 3, 1).contiguous()  # (B, ceil(H / 2), ceil(W / 2), C')
