"""ChangeMamba's decoders: two dates scanned jointly in three relations, and one date alone.

Paper: ChangeMamba: Remote Sensing Change Detection with Spatiotemporal State Space Model, arXiv
2404.03425 (IEEE TGRS 2024). Authors' repository: ChenHongruixuan/MambaCD, Apache-2.0.

The three relations are three places for the date axis of (T, H, W): beside the channels, inside the
columns or around them. Cross-scanning the picture so made is `mamba_dense.routes`'
`dates-interleaved` and `dates-sequential`. What differs from the authors' code: any number of
levels and any width, and pictures keep the dtype of the features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.backbones.base import resolve_arch
from mamba_dense.backbones.vmamba import Arch, Block
from mamba_dense.bricks import ConvNorm

# name -> (axis the dates move to, first of the two axes that become one) of (B, T, H, W, C)
RELATIONS = {'parallel': (3, 3), 'interleaved': (3, 2), 'sequential': (2, 2)}
# the blocks of the published decoders; those of `mini` are gated and have no MLP
BLOCKS = {'published': Arch(dims=(128,), depths=(1,), ratio=2.0)}


def arrange(dates: Tensor, relation: str) -> Tensor:
    """Dates (B, T, H, W, C) as one picture.

    Returns:
        (B, H, W, T * C) for parallel, (B, H, W * T, C) for interleaved, whose column j * T + d is
        column j of date d, (B, H, T * W, C) for sequential, whose column d * W + j it is.
    """
    axis, joined = RELATIONS[relation]
    return dates.movedim(1, axis).flatten(joined, joined + 1)


def separate(picture: Tensor, relation: str, dates: int) -> tuple[Tensor, ...]:
    """The dates (B, H, W, C) of a picture; a parallel one holds one map for all of them."""
    if relation == 'parallel':
        return (picture,)
    axis, joined = RELATIONS[relation]
    sizes = (dates, -1) if axis == joined else (-1, dates)
    return picture.unflatten(joined, sizes).unbind(axis)


def make_block(channels: int, block: Mapping[str, Any] | None, drop_path: float) -> Block:
    """One VMamba block of a decoder; `block` overrides fields of its `Arch`."""
    arch = resolve_arch('decoder block', BLOCKS, {'base': 'published', **(block or {})})
    return Block(channels, arch, drop_path)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """x (B, h, w, C) brought to the height and width of `like` (B, H, W, C), bilinear."""
    size = tuple(like.shape[1:3])
    y = F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False)
    return y.permute(0, 2, 3, 1)


class Smooth(nn.Module):
    """Two 3x3 convolutions with batch norm around which the input is added, then ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 3, relu=True)
        self.conv2 = ConvNorm(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        return F.relu(self.conv2(self.conv1(x)) + x)


class Relation(nn.Module):
    """All dates as one picture, its channels projected, then a VMamba block over it.

    Args:
        name: of `RELATIONS`.
        in_channels: width of one date's map.
        channels: width afterwards.
        dates: number T of dates.
        block, drop_path: see `ChangeDecoder`.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        channels: int,
        *,
        dates: int,
        block: Mapping[str, Any] | None,
        drop_path: float,
    ):
        super().__init__()
        self.name = name
        self.proj = nn.Linear(in_channels * (dates if name == 'parallel' else 1), channels)
        self.block = make_block(channels, block, drop_path)

    def forward(self, dates: Tensor) -> tuple[Tensor, ...]:
        """dates (B, T, H, W, C) to one map (B, H, W, channels), or to one for each date."""
        picture = self.block(self.proj(arrange(dates, self.name)))
        return separate(picture, self.name, dates.shape[1])

    def extra_repr(self) -> str:
        return self.name


class ChangeLevel(nn.Module):
    """One scale: the relations side by side, fused, added to the coarser scale and smoothed."""

    DATES = 2

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        block: Mapping[str, Any] | None,
        drop_path: float,
        deepest: bool,
    ):
        super().__init__()
        self.relations = nn.ModuleDict()
        for name in RELATIONS:
            self.relations[name] = Relation(
                name, in_channels, channels, dates=self.DATES, block=block, drop_path=drop_path
            )
        # one map of the parallel relation, one for each date of the others
        maps = 1 + (len(RELATIONS) - 1) * self.DATES
        self.fuse = ConvNorm(maps * channels, channels, bias=True, relu=True)
        self.smooth = None if deepest else Smooth(channels)

    def forward(self, dates: Tensor, coarser: Tensor | None) -> Tensor:
        """dates (B, T, H, W, C) and the coarser scale's result to (B, H, W, channels)."""
        maps = [one for relation in self.relations.values() for one in relation(dates)]
        x = self.fuse(torch.cat(maps, dim=-1))
        if coarser is not None:
            x = self.smooth(enlarge(coarser, x) + x)
        return x


class ChangeDecoder(nn.Module):
    """From the features of two dates to one map of what lies between them (section III-C).

    Args:
        in_channels: widths of the features, finest first.
        channels: width of everything inside and of the result; 128 as published.
        block: fields of VMamba's `Arch` that differ from the published blocks (ratio 2, one state,
            MLP of 4, no gate); `dict(gated=True, mlp_ratio=0.0)` for `mini`.
        drop_path: rate of every block.

    Raises:
        ValueError: an unknown field in `block`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 128,
        *,
        block: Mapping[str, Any] | None = None,
        drop_path: float = 0.1,
    ):
        super().__init__()
        last = len(in_channels) - 1
        self.levels = nn.ModuleList(
            ChangeLevel(width, channels, block=block, drop_path=drop_path, deepest=i == last)
            for i, width in enumerate(in_channels)
        )

    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> Tensor:
        """Features of each date, (B, C_i, H_i, W_i), finest first, to (B, channels, H_0, W_0)."""
        x = None
        for level, *features in zip(self.levels[::-1], pre[::-1], post[::-1], strict=True):
            dates = torch.stack(features, dim=1).permute(0, 1, 3, 4, 2)  # (B, T, H, W, C)
            x = level(dates, x)
        return x.permute(0, 3, 1, 2)


class SemanticLevel(nn.Module):
    """One scale of one date: projected, added to the coarser scale, smoothed, then a block."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        block: Mapping[str, Any] | None,
        drop_path: float,
        deepest: bool,
    ):
        super().__init__()
        if deepest:
            self.proj = nn.Linear(in_channels, channels)
        else:
            self.proj = ConvNorm(in_channels, channels, bias=True, relu=True)
        self.smooth = None if deepest else Smooth(channels)
        self.block = make_block(channels, block, drop_path)

    def forward(self, feature: Tensor, coarser: Tensor | None) -> Tensor:
        """feature (B, H, W, C) and the coarser scale's result to (B, H, W, channels)."""
        x = self.proj(feature)
        if coarser is not None:
            x = self.smooth(enlarge(coarser, x) + x)
        return self.block(x)


class SemanticDecoder(nn.Module):
    """From the features of one date to a map of what stands there.

    Args: as of `ChangeDecoder`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 128,
        *,
        block: Mapping[str, Any] | None = None,
        drop_path: float = 0.1,
    ):
        super().__init__()
        last = len(in_channels) - 1
        self.levels = nn.ModuleList(
            SemanticLevel(width, channels, block=block, drop_path=drop_path, deepest=i == last)
            for i, width in enumerate(in_channels)
        )
        self.smooth = Smooth(channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features (B, C_i, H_i, W_i), finest first, to (B, channels, H_0, W_0)."""
        x = None
        for level, feature in zip(self.levels[::-1], features[::-1], strict=True):
            x = level(feature.permute(0, 2, 3, 1), x)
        return self.smooth(x).permute(0, 3, 1, 2)
