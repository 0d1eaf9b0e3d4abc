"""Convolution, batch norm and SiLU: what YOLO's networks are built of."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BN_EPS = 1e-3
BN_MOMENTUM = 0.03


def yolo_batch_norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with the constants that YOLO's networks have everywhere."""
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


class ConvSiLU(nn.Module):
    """A convolution padded by half its window, batch norm, SiLU; its door is (B, H, W, C).

    Args:
        channels: width before.
        out_channels: width after.
        kernel: side of the window, odd.
        stride: of the window.
        bias: whether the convolution has one.
    """

    NO_DECAY = ('norm', 'conv.bias')

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        bias: bool = False,
    ):
        super().__init__()
        self.conv = nn.Conv2d(
            channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias
        )
        self.norm = yolo_batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / stride), ceil(W / stride), C'), contiguous."""
        x = F.silu(self.norm(self.conv(x.permute(0, 3, 1, 2))))  # (B, C', H', W')
        return x.permute(0, 2, 3, 1).contiguous()


class ConvSiLUStem(nn.Module):
    """Two 3x3 convolutions of stride 2 with batch norm: GELU after the first, SiLU at the end.

    Args:
        in_channels: channels of the image.
        channels: width of the tokens; half of it between the two.
    """

    NO_DECAY = ('norm', 'norm2')
    stride = 4
    min_size = 1

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        half = channels // 2
        self.conv = nn.Conv2d(in_channels, half, 3, stride=2, padding=1, bias=False)
        self.norm = yolo_batch_norm(half)
        self.conv2 = nn.Conv2d(half, channels, 3, stride=2, padding=1, bias=False)
        self.norm2 = yolo_batch_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, in_channels) to (B, ceil(H / 4), ceil(W / 4), C), contiguous."""
        x = F.gelu(self.norm(self.conv(x.permute(0, 3, 1, 2))))  # (B, C // 2, H', W')
        x = F.silu(self.norm2(self.conv2(x)))  # (B, C, H'', W'')
        return x.permute(0, 2, 3, 1).contiguous()


class SpaceToDepth(nn.Module):
    """Half the grid: the four neighbours side by side, a 1x1 convolution, batch norm, SiLU.

    An odd grid gets a zero row at the bottom or a zero column at the right.

    Args:
        channels: width before.
        out_channels: width after.
    """

    NO_DECAY = ('norm', 'conv.bias')

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(4 * channels, out_channels, 1)
        self.norm = yolo_batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C'), contiguous."""
        H, W = x.shape[1:3]
        if H % 2 or W % 2:
            x = F.pad(x, (0, 0, 0, W % 2, 0, H % 2))
        quarters = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = torch.cat(quarters, dim=-1)  # (B, ceil(H / 2), ceil(W / 2), 4C)
        x = F.silu(self.norm(self.conv(x.permute(0, 3, 1, 2))))  # (B, C', H', W')
        return x.permute(0, 2, 3, 1).contiguous()


class PooledPyramid(nn.Module):
    """SPPF: a map beside itself pooled once, twice and three times, between two convolutions.

    Args:
        channels: width before; half of it is pooled.
        out_channels: width after.
        window: side of the pooling, odd.
    """

    def __init__(self, channels: int, out_channels: int, window: int = 5):
        super().__init__()
        half = channels // 2
        self.conv1 = ConvSiLU(channels, half)
        self.conv2 = ConvSiLU(4 * half, out_channels)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, H, W, C')."""
        x = self.conv1(x).permute(0, 3, 1, 2)  # (B, C // 2, H, W)
        pooled = [x]
        for _ in range(3):
            pooled.append(F.max_pool2d(pooled[-1], self.window, 1, self.window // 2))
        return self.conv2(torch.cat(pooled, dim=1).permute(0, 2, 3, 1))
