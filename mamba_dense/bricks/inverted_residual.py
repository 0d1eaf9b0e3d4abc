"""The inverted residual of MobileNetV2 (arXiv 1801.04381) with squeeze and excitation."""

from torch import Tensor, nn

from .conv_norm import ConvNorm
from .drop import DropPath
from .squeeze_excite import SqueezeExcite


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
        self.expand = ConvNorm(channels, inner, relu=True)
        self.depthwise = ConvNorm(inner, inner, 3, groups=inner, relu=True)
        self.excite = SqueezeExcite(inner, max(int(inner * reduction), 1))
        self.project = ConvNorm(inner, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        y = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(y)
