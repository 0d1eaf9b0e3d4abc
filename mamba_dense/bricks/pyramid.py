"""From the one map of a plain backbone to maps of several strides."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .norm import ChannelFirstLayerNorm

MakeNorm = Callable[[int], nn.Module]


class MaxPool(nn.Module):
    """Max pooling without overlap whose window shrinks to a side that is shorter than it.

    Args:
        window: side of the window, and the stride.
    """

    def __init__(self, window: int):
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to (B, C, max(H // window, 1), max(W // window, 1))."""
        window = [min(self.window, side) for side in x.shape[2:]]
        return F.max_pool2d(x, window, stride=self.window)

    def extra_repr(self) -> str:
        return f'window={self.window}'


def make_resample(
    channels: int, scale: float, norm: MakeNorm, *, narrow: bool = False
) -> tuple[nn.Sequential, int]:
    """Layers that bring a map (B, C, H, W) to `scale` times its size, and the width after them.

    4 is two transposed convolutions with a norm and GELU between, 2 is one, 1 is none, and 1 / 2
    and 1 / 4 are max pooling.

    Args:
        channels: width C of the map.
        scale: one of these.
        norm: makes the norm of a width.
        narrow: whether each transposed convolution halves the width.

    Raises:
        ValueError: another scale.
    """
    if scale not in (4, 2, 1, 0.5, 0.25):
        raise ValueError(f'scale={scale} of a pyramid level must be 4, 2, 1, 0.5 or 0.25.')
    if scale <= 1:
        return nn.Sequential(*([MaxPool(round(1 / scale))] if scale < 1 else [])), channels
    half = channels // 2 if narrow else channels
    layers = [nn.ConvTranspose2d(channels, half, 2, stride=2)]
    if scale == 4:
        last = half // 2 if narrow else half
        layers += [norm(half), nn.GELU(), nn.ConvTranspose2d(half, last, 2, stride=2)]
        half = last
    return nn.Sequential(*layers), half


class FeaturePyramid(nn.ModuleList):
    """One map of a plain backbone for each level, brought to its scale; widths stay.

    Args:
        channels: width of the maps.
        scales: of each level; see `make_resample`.
        norm: makes the norm of a width, for scale 4.
    """

    def __init__(self, channels: int, scales: Sequence[float], norm: MakeNorm = nn.BatchNorm2d):
        super().__init__(make_resample(channels, scale, norm)[0] for scale in scales)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), one for each scale, to (B, C, scale H, scale W)."""
        return tuple([level(x) for level, x in zip(self, maps, strict=True)])


class PyramidLevel(nn.Module):
    """One level of the simple feature pyramid: resampled, then 1x1 and 3x3 convolution with norm.

    Args:
        channels: width of the backbone's map.
        out_channels: width of the level.
        scale: of the level; see `make_resample`.
    """

    NO_DECAY = ('norm1', 'norm2')

    def __init__(self, channels: int, out_channels: int, scale: float):
        super().__init__()
        self.resample, width = make_resample(channels, scale, _layer_norm, narrow=True)
        self.conv1 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.norm1 = _layer_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = _layer_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to (B, out_channels, scale H, scale W)."""
        x = self.norm1(self.conv1(self.resample(x)))
        return self.norm2(self.conv2(x))


def _layer_norm(channels: int) -> nn.Module:
    return ChannelFirstLayerNorm(channels, eps=1e-6)


class SimpleFeaturePyramid(nn.Module):
    """ViTDet's neck (arXiv 2203.16527): every level is made of the last map of a plain backbone.

    Args:
        in_channels: width of that map; of several widths, as the other necks are given them, the
            last one counts.
        out_channels: width of each level.
        scales: of the levels made of the map; see `make_resample`.
        num_outs: number of levels; those beyond `scales` take every second pixel of the one before.

    Raises:
        ValueError: a scale that does not exist, or fewer outputs than scales.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int = 256,
        *,
        scales: Sequence[float] = (4, 2, 1, 0.5),
        num_outs: int = 5,
    ):
        super().__init__()
        if num_outs < len(scales):
            raise ValueError(
                f'num_outs={num_outs} must be at least the number of scales={tuple(scales)}.'
            )
        channels = in_channels if isinstance(in_channels, int) else in_channels[-1]
        self.num_outs = num_outs
        self.out_channels = out_channels
        self.levels = nn.ModuleList(PyramidLevel(channels, out_channels, scale) for scale in scales)

    def forward(self, features: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The last of the features (B, C, H, W) to `num_outs` maps, finest first, contiguous."""
        x = features if isinstance(features, torch.Tensor) else features[-1]
        maps = [level(x) for level in self.levels]
        while len(maps) < self.num_outs:
            maps.append(F.max_pool2d(maps[-1], 1, stride=2))
        # mmcv's RoIAlign reads a channels_last map as if it were not one
        return tuple(y.contiguous() for y in maps)
