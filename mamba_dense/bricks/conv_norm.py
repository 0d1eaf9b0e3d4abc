"""Convolutions with a BatchNorm of their own, and the perceptron made of them."""

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """A convolution, BatchNorm, and a ReLU where asked for; its door is (B, H, W, C).

    Odd kernels are padded so that stride 1 keeps the grid and stride 2 leaves ceil(H / 2).

    Args:
        in_channels: width before.
        channels: width after.
        kernel: side of the kernel.
        stride: of the convolution.
        groups: of the convolution.
        bias: whether the convolution has one.
        relu: whether a ReLU follows the norm.
        start: where the norm's weight starts; 0 lets a residual branch begin as nothing.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        relu: bool = False,
        start: float = 1.0,
    ):
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=bias,
        )
        self.norm = nn.BatchNorm2d(channels)
        nn.init.constant_(self.norm.weight, start)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, H, W, C) to (B, ceil(H / stride), ceil(W / stride), C'), contiguous."""
        x = self.norm(self.conv(x.permute(0, 3, 1, 2)))  # (B, C', H', W')
        x = F.relu(x) if self.relu else x
        return x.permute(0, 2, 3, 1).contiguous()


class ExemptConvNorm(ConvNorm):
    """A `ConvNorm` of networks whose authors spare batch norms weight decay; others do not."""

    NO_DECAY = ('norm',)


class ConvNormMlp(nn.Module):
    """Two 1x1 convolutions with BatchNorm, ReLU between them.

    Args:
        channels: width at the door.
        hidden: width between the two layers.
        start: where the last norm's weight starts.
    """

    def __init__(self, channels: int, hidden: int, *, start: float = 0.0):
        super().__init__()
        self.fc1 = ConvNorm(channels, hidden, relu=True)
        self.fc2 = ConvNorm(hidden, channels, start=start)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        return self.fc2(self.fc1(x))
