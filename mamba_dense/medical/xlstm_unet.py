"""xLSTM-UNet's decoder (arXiv 2407.01530): nnU-Net's residual one, over images and volumes.

Authors' repository: tianrun-chen/xLSTM-UNet-PyTorch; see `mamba_dense.backbones.xlstm_unet`, where
the encoder is. What differs here: any size is served; where the way down rounded up, the way up is
cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.backbones.base import resolve_arch
from mamba_dense.backbones.xlstm_unet import BLOCK_KEYS, DOUBLES, XLSTMEncoder
from mamba_dense.bricks import CONV, check_spatial_dims, init_he, per_axis, residual_blocks
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap


class NearestUpsample(nn.Module):
    """Each place repeated, then a 1x1 convolution.

    Args:
        spatial_dims: 2 or 3.
        in_channels: width before.
        channels: width after.
        factor: how often along each axis.
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: int, factor: Sequence[int]):
        super().__init__()
        self.factor = tuple(float(f) for f in factor)
        self.conv = CONV[spatial_dims](in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to (B, channels, *(factor * side))."""
        # the convolution first gives the same at a fraction of the work
        return F.interpolate(self.conv(x), scale_factor=self.factor, mode='nearest')


class UpStage(nn.Module):
    """The way up, the encoder's map beside it, residual blocks, logits where asked for.

    Args:
        upsample: from the coarser map.
        blocks: behind it.
        joined: whether the encoder's map is concatenated.
        logits: a 1x1 convolution, or None.
    """

    def __init__(
        self,
        upsample: nn.Module,
        blocks: Sequence[nn.Module],
        *,
        joined: bool,
        logits: nn.Module | None,
    ):
        super().__init__()
        self.joined = joined
        self.upsample = upsample
        self.blocks = nn.Sequential(*blocks)
        self.logits = logits

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x of the coarser grid and skip (B, channels, *side) to skip's shape."""
        x = self.upsample(x)
        for axis, side in enumerate(skip.shape[2:], 2):
            x = x.narrow(axis, 0, side)
        if self.joined:
            x = torch.cat((x, skip), 1)
        return self.blocks(x)


@MODELS.register_module()
class XLSTMDecoder(nn.Module):
    """xLSTM-UNet's decoder: from the encoder's maps to logits, full resolution first.

    Args:
        in_channels: widths of the encoder's maps, finest first.
        num_classes: channels of the logits.
        arch: the encoder's: a variant's name, or a mapping of its fields.
        spatial_dims: 2 or 3; None is the variant's.
        deep_supervision: logits of every stage, else of the finest alone.

    Raises:
        ValueError: an unknown `arch`, or `in_channels` are not its widths.

    In 2-D the encoder's finest map is not used, as published.
    """

    AUTHOR_KEYS = KeyMap(
        rename=(
            *BLOCK_KEYS,
            (r'^decoder\.stages\.(\d+)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'^decoder\.upsample_layers\.(\d+)\.', r'stages.\1.upsample.'),
            (r'^decoder\.seg_layers\.(\d+)\.', r'stages.\1.logits.'),
        ),
        # the encoder in the authors' files
        drop=(*DOUBLES, r'^(encoder|xlstm)\.'),
    )

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        arch: str | Mapping[str, Any],
        spatial_dims: int | None = None,
        deep_supervision: bool = False,
    ):
        super().__init__()
        arch = resolve_arch('XLSTMEncoder', XLSTMEncoder.ARCHS, arch)
        axes = check_spatial_dims(arch.spatial_dims if spatial_dims is None else spatial_dims)
        dims, ways = arch.dims, len(arch.dims) - 1
        if tuple(in_channels) != tuple(dims) or len(arch.decoder_depths) != ways:
            raise ValueError(
                f'in_channels={tuple(in_channels)} must be the widths {dims} of arch, and '
                f'decoder_depths={arch.decoder_depths} have one entry fewer.'
            )
        self.deep_supervision = deep_supervision
        self.stages = nn.ModuleList()
        for i, depth in enumerate(arch.decoder_depths):
            level = ways - 1 - i
            width, joined = dims[level], axes == 3 or level > 0
            factor = per_axis('strides', arch.strides[level + 1], axes)
            told = deep_supervision or level == 0
            self.stages.append(
                UpStage(
                    NearestUpsample(axes, dims[level + 1], width, factor),
                    residual_blocks(
                        axes,
                        2 * width if joined else width,
                        width,
                        depth,
                        kernel=per_axis('kernels', arch.kernels[level], axes),
                    ),
                    joined=joined,
                    logits=CONV[axes](width, num_classes, 1) if told else None,
                )
            )
        init_he(self)
        if not deep_supervision:  # a file may hold the others
            coarse = tuple(rf'^stages\.{i}\.logits\.' for i in range(ways - 1))
            self.AUTHOR_KEYS = replace(self.AUTHOR_KEYS, fresh=coarse)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Logits (B, num_classes, *spatial_i), full resolution first.

        Args:
            features: (B, in_channels[i], *spatial_i), the maps of every stage, finest first.
        """
        *skips, x = features
        found = []
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
            if stage.logits is not None:
                found.append(stage.logits(x))
        return tuple(reversed(found))
