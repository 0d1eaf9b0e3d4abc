"""Convolution and batch norm: the parts of light convolutional networks."""

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ChannelLastConv2d


class ConvBatchNorm(nn.Module):
    """A convolution without bias, a batch norm, and a ReLU where asked for.

    Args:
        channels: width before.
        out_channels: width after.
        kernel: side of the window, odd; borders are padded with zeros.
        stride: of the window.
        depthwise: whether each channel is convolved on its own.
        relu: whether a ReLU follows.
    """

    NO_DECAY = ('norm',)

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu: bool = False,
    ):
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(
            channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=channels if depthwise else 1,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, H', W', C'), contiguous."""
        x = self.norm(self.conv(x.permute(0, 3, 1, 2)))  # (B, C', H', W')
        x = F.relu(x) if self.relu else x
        return x.permute(0, 2, 3, 1).contiguous()


class SqueezeExcitation(nn.Module):
    """Scale each channel by what two 1x1 convolutions make of the map's mean.

    Args:
        channels: width of the map.
        hidden: width between the two convolutions.
    """

    NO_DECAY = ('fc1.bias', 'fc2.bias')

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = ChannelLastConv2d(channels, hidden, 1)
        self.fc2 = ChannelLastConv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        mean = x.mean(dim=(1, 2), keepdim=True)  # (B, 1, 1, C)
        return x * self.fc2(F.relu(self.fc1(mean))).sigmoid()
