"""The inverted residual of MobileNetV2 (arXiv 1801.04381) with squeeze and excitation."""

from collections import OrderedDict

from torch import Tensor, nn

from .drop import DropPath


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate made of all channels' means (arXiv 1709.01507).

    Args:
        channels: width of the map.
        hidden: width between the two 1x1 convolutions.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to the same shape."""
        gate = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self.expand(self.act(self.reduce(gate))).sigmoid()


def _conv_norm(conv: nn.Conv2d, act: nn.Module | None = None) -> nn.Sequential:
    layers = OrderedDict(conv=conv, norm=nn.BatchNorm2d(conv.out_channels))
    if act is not None:
        layers['act'] = act
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """x + project(excite(depth-wise(expand(x)))), each convolution with BatchNorm.

    Args:
        channels: width at the door.
        expansion: inner width over it.
        reduction: width of the excitation's bottleneck over the inner width.
        drop_path: rate of the residual branch.
    """

    def __init__(
        self,
        channels: int,
        *,
        expansion: int = 4,
        reduction: float = 0.125,
        drop_path: float = 0.0,
    ):
        super().__init__()
        inner = expansion * channels
        hidden = max(int(inner * reduction), 1)
        self.expand = _conv_norm(nn.Conv2d(channels, inner, 1, bias=False), nn.ReLU())
        self.depthwise = _conv_norm(
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False), nn.ReLU()
        )
        self.excite = SqueezeExcite(inner, hidden)
        self.project = _conv_norm(nn.Conv2d(inner, channels, 1, bias=False))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        y = x.permute(0, 3, 1, 2)  # (B, C, H, W), channels_last
        y = self.project(self.excite(self.depthwise(self.expand(y))))
        return x + self.drop_path(y.permute(0, 2, 3, 1))  # (B, H, W, C)
