"""Residual blocks of two normed convolutions, as nnU-Net's residual networks have them."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .drop import DropPath
from .spatial import CONV, INSTANCE_NORM, per_axis

SLOPE = 0.01  # of every leaky ReLU


class ResidualBlock(nn.Module):
    """leaky(norm2(conv2(leaky(norm1(conv1(x))))) + shortcut(x)), over (B, C, *spatial).

    Instance norms with weights of their own, leaky ReLUs of slope 0.01. Odd kernels are padded so
    that stride 1 keeps the grid and stride 2 leaves half of it, rounded up.

    Args:
        spatial_dims: 2 or 3.
        in_channels: width before.
        channels: width after.
        kernel: sides of the kernels, odd; one number, or one an axis.
        stride: of the first convolution and of the shortcut; one number, or one an axis.
        project: whether the shortcut is a 1x1 convolution (nnU-Net's identity otherwise).
        drop_path: rate of the branch.

    Raises:
        ValueError: without `project` the block changes width or grid.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: int,
        *,
        kernel: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        project: bool = True,
        drop_path: float = 0.0,
    ):
        super().__init__()
        conv, norm = CONV[spatial_dims], INSTANCE_NORM[spatial_dims]
        kernel = per_axis('kernel', kernel, spatial_dims)
        stride = per_axis('stride', stride, spatial_dims)
        if not project and (in_channels != channels or set(stride) != {1}):
            raise ValueError(
                f'a block of {in_channels} to {channels} channels and stride={stride} needs '
                'project=True.'
            )
        padding = tuple(side // 2 for side in kernel)
        self.conv1 = conv(in_channels, channels, kernel, stride=stride, padding=padding)
        self.norm1 = norm(channels, affine=True)
        self.conv2 = conv(channels, channels, kernel, padding=padding)
        self.norm2 = norm(channels, affine=True)
        self.conv3 = conv(in_channels, channels, 1, stride=stride) if project else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to (B, channels, *(ceil(side / stride)))."""
        y = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE, inplace=True)
        y = self.drop_path(self.norm2(self.conv2(y)))
        return F.leaky_relu(y + (x if self.conv3 is None else self.conv3(x)), SLOPE, inplace=True)


def residual_blocks(
    spatial_dims: int,
    in_channels: int,
    channels: int,
    depth: int,
    *,
    kernel: int | Sequence[int],
    stride: int | Sequence[int] = 1,
) -> list[ResidualBlock]:
    """A stage: a block that may change width and grid, then `depth` - 1 that change neither."""
    first = ResidualBlock(spatial_dims, in_channels, channels, kernel=kernel, stride=stride)
    return [
        first,
        *(
            ResidualBlock(spatial_dims, channels, channels, kernel=kernel, project=False)
            for _ in range(depth - 1)
        ),
    ]


def init_he(module: nn.Module) -> None:
    """He's start of all convolutions of images and volumes for that slope; biases 0."""
    for part in module.modules():
        if isinstance(part, tuple(CONV.values())):
            nn.init.kaiming_normal_(part.weight, a=SLOPE)
            nn.init.zeros_(part.bias)
