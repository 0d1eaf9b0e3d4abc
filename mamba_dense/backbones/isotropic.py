"""What plain backbones share: tokens of one size from patch to output, and their pyramids."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import (
    ChannelFirstLayerNorm,
    ChannelLastConv2d,
    FeaturePyramid,
    SimpleFeaturePyramid,
)
from ..registry import MODELS
from ..weights import KeyMap, resize_table
from .base import Backbone

STRIDES = (4, 8, 16, 32)  # of a pyramid's levels
KEPT_TABLES = 8
NORMS = {'BN': nn.BatchNorm2d, 'SyncBN': nn.SyncBatchNorm, 'GN': nn.GroupNorm}

# the neck of plain backbones, for any detector, and the norm of the heads that go with it
MODELS.register_module(module=SimpleFeaturePyramid)
MODELS.register_module(module=ChannelFirstLayerNorm)


def sides(size: int | Sequence[int], name: str) -> tuple[int, int]:
    """A size as (height, width); one number is a square's side."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ValueError(f'{name}={size!r} must be a side or (height, width), in whole pixels.')
    return pair


def norm_maker(norm_cfg: Mapping[str, Any] | None) -> partial[nn.Module]:
    """What makes the norm of a width, from a config such as `dict(type='GN', num_groups=8)`."""
    options = {'type': 'BN', **(norm_cfg or {})}
    kind = options.pop('type')
    options.pop('requires_grad', None)
    if kind not in NORMS:
        raise ValueError(f'norm_cfg has type={kind!r}; known: {", ".join(NORMS)}.')
    if kind == 'GN':
        return partial(nn.GroupNorm, options.pop('num_groups'), **options)
    return partial(NORMS[kind], **options)


class PatchTokens(nn.Module):
    """One convolution over patches, and a learned table of positions resized to any grid.

    The image is padded with zeros at the right and at the bottom to whole patches. The table of
    another grid than the table's own is made by bicubic resizing; outside training it is kept.

    Args:
        in_channels: channels of the image.
        channels: width of a token.
        patch: side of a patch in pixels.
        stride: pixels from a patch to the next; patches overlap where it is less than their side.
        img_size: (height, width) whose grid the table has.
        class_token: whether there is a class token with a position of its own, for the backbone
            to put among the others.
    """

    min_size = 1
    NO_DECAY = ('conv.bias', 'cls_token')

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        patch: int,
        stride: int,
        img_size: tuple[int, int],
        class_token: bool = False,
    ):
        super().__init__()
        self.stride = stride
        self.overlap = patch - stride
        self.conv = ChannelLastConv2d(in_channels, channels, patch, stride=stride)
        H, W = self.grid(img_size)
        self.pos_embed = nn.Parameter(torch.empty(1, H, W, channels))
        self.cls_token = nn.Parameter(torch.empty(1, 1, channels)) if class_token else None
        self.cls_pos_embed = nn.Parameter(torch.empty(1, 1, channels)) if class_token else None
        # LeCun's normal: the factor is a truncated normal's loss of variance
        spread = (in_channels * patch**2) ** -0.5 / 0.87962566103423978
        nn.init.trunc_normal_(self.conv.weight, std=spread, a=-2 * spread, b=2 * spread)
        nn.init.zeros_(self.conv.bias)
        for table in (self.pos_embed, self.cls_token, self.cls_pos_embed):
            if table is not None:
                nn.init.trunc_normal_(table, std=0.02)
        self._resized: dict[tuple[int, int], tuple[object, Tensor]] = {}

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Patches (H, W) on an image of this (height, width), once it is padded."""
        H, W = (max(math.ceil((side - self.overlap) / self.stride), 1) for side in size)
        return H, W

    def train(self, mode: bool = True) -> 'PatchTokens':
        """As `nn.Module.train`; forgets the resized tables, which training may change."""
        self._resized.clear()
        return super().train(mode)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The table for a grid: (1, H, W, C)."""
        table = self.pos_embed
        if grid == tuple(table.shape[1:3]):
            return table
        learning = torch.is_grad_enabled() and table.requires_grad
        if self.training or learning or torch.compiler.is_compiling():
            return resize_table(table, grid)
        if type(table) is not nn.Parameter:  # traced, or spread over processes
            return resize_table(table, grid)
        version = None if table.is_inference() else table._version
        state = (version, table.data_ptr(), table.dtype, table.device)
        kept = self._resized.get(grid)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False), torch.no_grad():
                kept = (state, resize_table(table.detach(), grid))
            if len(self._resized) >= KEPT_TABLES:
                self._resized.pop(next(iter(self._resized)))
            self._resized[grid] = kept
        return kept[1]

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to tokens (B, *grid((H, W)), channels)."""
        grid = self.grid(x.shape[1:3])
        bottom, right = (
            cells * self.stride + self.overlap - side
            for cells, side in zip(grid, x.shape[1:3], strict=True)
        )
        if bottom or right:
            x = F.pad(x, (0, 0, 0, right, 0, bottom))
        return self.conv(x) + self.positions(grid)


class IsotropicBackbone(Backbone):
    """A plain backbone: patches, then blocks of one width over tokens of one grid.

    Blocks after the last one of `out_indices` are not built.

    A family gives `ARCHS` (whose rows have at least `dim`, `depth`, `patch`, `stride` and
    `drop_path_rate`), `AUTHOR_KEYS` and the hooks `make_block` and `run_blocks`.

    Args:
        arch, in_channels, drop_path_rate, with_cp, norm_eval, init_cfg: see `Backbone`.
        img_size: side or (height, width) whose grid the table of positions has: the crop of
            training. Images of any size are taken, with the table resized.
        out_indices: blocks whose features are returned, each once, in any order; None is the last
            block of each quarter.
        frozen_stages: -1 freezes nothing, 0 the stem, i the stem and the first i blocks.
        class_token: whether a class token runs along with the patches.
        pyramid: whether the features, four at most, are brought to strides 4, 8, 16 and 32 in the
            order of `out_indices`; else all have the stride of the patches.
        norm_cfg: norm within the pyramid's first level, `dict(type='BN' | 'SyncBN' | 'GN', ...)`;
            None is BN.

    Raises:
        ValueError: a value above is not allowed; the message lists what is.
    """

    PARTS = 'blocks'

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        in_channels: int = 3,
        img_size: int | Sequence[int] = 224,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        class_token: bool = False,
        pyramid: bool = False,
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            arch,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        dim, depth = self.arch.dim, self.arch.depth
        if out_indices is None:
            out_indices = tuple(dict.fromkeys(-(-depth * k // 4) - 1 for k in (1, 2, 3, 4)))
        self._check(depth, out_indices, frozen_stages)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.stem = PatchTokens(
            in_channels,
            dim,
            patch=self.arch.patch,
            stride=self.arch.stride,
            img_size=sides(img_size, 'img_size'),
            class_token=class_token,
        )
        last = max(self.out_indices)
        self.blocks = nn.ModuleList(self.make_block(rate) for rate in self.rates()[: last + 1])
        self.out_channels = (dim,) * len(self.out_indices)
        self.strides = (self.stem.stride,) * len(self.out_indices)
        self.pyramid = None
        if pyramid:
            self.strides = STRIDES[: len(self.out_indices)]
            if len(self.out_indices) > len(STRIDES):
                raise ValueError(
                    f'out_indices={self.out_indices} are more than the {len(STRIDES)} levels of a '
                    'pyramid; give fewer, or pyramid=False.'
                )
            scales = [self.stem.stride / stride for stride in self.strides]
            self.pyramid = FeaturePyramid(dim, scales, norm_maker(norm_cfg))
        self.AUTHOR_KEYS = self._own_keys(self.AUTHOR_KEYS)
        self._settle()

    @abstractmethod
    def make_block(self, drop_path: float) -> nn.Module:
        """A block over tokens (B, L, C)."""

    @abstractmethod
    def run_blocks(self, x: Tensor) -> dict[int, Tensor]:
        """From the stem's (B, H, W, C) to the features (B, H, W, C) of `out_indices`."""

    def rates(self) -> list[float]:
        """The drop path rate of each block."""
        return torch.linspace(0, self.drop_path_rate, self.arch.depth, device='cpu').tolist()

    def _own_keys(self, keys: KeyMap) -> KeyMap:
        """The key map of this build: a file may hold blocks and tokens that it does not have."""
        absent = [rf'^blocks\.{i}\.' for i in range(len(self.blocks), self.arch.depth)]
        if self.stem.cls_token is None:
            absent += [r'^stem\.cls_(token|pos_embed)$']
        return replace(keys, fresh=(*keys.fresh, *absent))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of an image, one for each of `out_indices`.

        Args:
            x: (B, in_channels, H, W) of any size.

        Returns:
            One (B, out_channels[i], H_i, W_i) per output, contiguous (see `StagedBackbone`).

        Raises:
            ValueError: another number of channels or axes.
        """
        self._check_image(x)
        features = self.run_blocks(self.stem(x.permute(0, 2, 3, 1)))
        dtype = self.stem.pos_embed.dtype
        maps = [features[i].to(dtype).permute(0, 3, 1, 2) for i in self.out_indices]
        maps = maps if self.pyramid is None else self.pyramid(maps)
        return tuple(y.contiguous() for y in maps)
