"""Squeeze-and-excitation (Hu et al., arXiv 1709.01507)."""

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ChannelLastConv2d


class SqueezeExcite(nn.Module):
    """Scale each channel by a sigmoid of two layers, ReLU between, over the means of all channels.

    Args:
        channels: width at the door.
        hidden: width between the two layers.
        bias: whether the layers have one.
        linear: whether they are linear layers, which a backbone starts in its own way, instead of
            1x1 convolutions, which start as torch has them.

    Raises:
        ValueError: nothing would be left between the two layers.
    """

    def __init__(self, channels: int, hidden: int, *, bias: bool = True, linear: bool = False):
        super().__init__()
        if hidden < 1:
            raise ValueError(
                f'hidden={hidden} between {channels} channels of a SqueezeExcite must be at least '
                '1; give the map more channels.'
            )
        if linear:
            self.fc1 = nn.Linear(channels, hidden, bias=bias)
            self.fc2 = nn.Linear(hidden, channels, bias=bias)
        else:
            self.fc1 = ChannelLastConv2d(channels, hidden, 1, bias=bias)
            self.fc2 = ChannelLastConv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        mean = x.mean(dim=(1, 2), keepdim=True)  # (B, 1, 1, C)
        return x * self.fc2(F.relu(self.fc1(mean))).sigmoid()
