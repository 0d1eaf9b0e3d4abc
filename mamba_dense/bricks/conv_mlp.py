"""A perceptron that sees its neighbours: a depth-wise convolution between the two layers."""

from torch import Tensor, nn

from .conv import ChannelLastConv2d


class ConvMlp(nn.Module):
    """1x1, plus a depth-wise 3x3 of it, exact GELU, 1x1.

    The layers are convolutions, not linear layers: they start as torch starts convolutions.

    Args:
        channels: width at the door.
        hidden: width between the two layers.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = ChannelLastConv2d(channels, hidden, 1)
        self.conv = ChannelLastConv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.fc2 = ChannelLastConv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        x = self.fc1(x)
        return self.fc2(self.act(x + self.conv(x)))
