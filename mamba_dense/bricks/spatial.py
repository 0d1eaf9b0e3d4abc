"""The same part over images and over volumes: torch's classes by the number of spatial axes."""

from collections.abc import Sequence

from torch import Tensor, nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
INSTANCE_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
INTERPOLATION = {2: 'bilinear', 3: 'trilinear'}


def check_spatial_dims(spatial_dims: int) -> int:
    """2 for images (H, W), 3 for volumes (Z, H, W).

    Raises:
        ValueError: anything else.
    """
    if spatial_dims not in CONV:
        raise ValueError(f'spatial_dims={spatial_dims!r} must be 2 (images) or 3 (volumes).')
    return spatial_dims


def per_axis(name: str, value: int | Sequence[int], spatial_dims: int) -> tuple[int, ...]:
    """A size of each axis: a number stands for all of them.

    Raises:
        ValueError: another number of sizes, or one below 1; `name` is what the error calls them.
    """
    sizes = (value,) * spatial_dims if isinstance(value, int) else tuple(value)
    if len(sizes) != spatial_dims or min(sizes) < 1:
        raise ValueError(
            f'{name}={value!r} must be one number of at least 1, or {spatial_dims} of them, as '
            f'spatial_dims={spatial_dims}.'
        )
    return sizes


class SeparableConv(nn.Module):
    """A depth-wise convolution and a 1x1 one, with nothing in between.

    Args:
        spatial_dims: 2 or 3.
        in_channels: width before, also between the two.
        channels: width after.
        kernel: side of the depth-wise kernel, odd; the grid stays.
        bias: whether both have one.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, channels: int, kernel: int, *, bias: bool = False
    ):
        super().__init__()
        conv = CONV[check_spatial_dims(spatial_dims)]
        self.depthwise = conv(
            in_channels, in_channels, kernel, padding=kernel // 2, groups=in_channels, bias=bias
        )
        self.pointwise = conv(in_channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, C, *spatial) to (B, channels, *spatial)."""
        return self.pointwise(self.depthwise(x))
