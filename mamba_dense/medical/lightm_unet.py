"""LightM-UNet's decoder (arXiv 2403.05246), over images and volumes.

Authors' repository: MrBlankness/LightM-UNet, Apache-2.0. The encoder is
`mamba_dense.LightMEncoder`. What differs here: any size is served; where the encoder's pooling
rounded up, the way up is cut.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.bricks import (
    CONV,
    INTERPOLATION,
    ChannelFirstGroupNorm,
    SeparableConv,
    check_spatial_dims,
)
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap

GROUPS = 8  # of every group norm


class UpBlock(nn.Module):
    """relu(norm2(conv(relu(norm1(x))) + skip_scale x)).

    Args:
        spatial_dims: 2 or 3.
        dim: width of the maps.
    """

    NO_DECAY = ('norm1', 'norm2', 'skip_scale')

    def __init__(self, spatial_dims: int, dim: int):
        super().__init__()
        self.norm1 = ChannelFirstGroupNorm(GROUPS, dim)
        self.conv = SeparableConv(spatial_dims, dim, dim, 3)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.norm2 = ChannelFirstGroupNorm(GROUPS, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to the same shape."""
        y = self.conv(F.relu(self.norm1(x))) + self.skip_scale * x
        return F.relu(self.norm2(y))


class UpStage(nn.Module):
    """Half the width by a 1x1 convolution, twice the sides, the encoder's map added, blocks.

    Args:
        spatial_dims: 2 or 3.
        in_channels: width of the coarser map.
        channels: width after.
        depth: number of blocks.
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: int, depth: int):
        super().__init__()
        self.conv = CONV[spatial_dims](in_channels, channels, 1, bias=False)
        self.mode = INTERPOLATION[spatial_dims]
        self.blocks = nn.Sequential(*(UpBlock(spatial_dims, channels) for _ in range(depth)))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (B, C, *(ceil(side / 2))) and skip (B, channels, *side) to skip's shape."""
        x = F.interpolate(self.conv(x), scale_factor=2, mode=self.mode, align_corners=False)
        for axis, side in enumerate(skip.shape[2:], 2):
            x = x.narrow(axis, 0, side)
        return self.blocks(x + skip)


@MODELS.register_module()
class LightMDecoder(nn.Module):
    """LightM-UNet's decoder: from the encoder's maps to logits at full resolution.

    Args:
        in_channels: widths of the maps, finest first, multiples of 8.
        num_classes: channels of the logits.
        spatial_dims: 2 for images, 3 for volumes.
        depths: blocks of each stage, coarsest first; None is one each, as published.

    Raises:
        ValueError: a width is no multiple of 8, or `depths` has another length than there are ways
            up.
    """

    AUTHOR_KEYS = KeyMap(
        rename=(
            (r'^up_samples\.(\d+)\.0\.conv\.', r'stages.\1.conv.'),
            (r'^up_layers\.(\d+)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'\.conv\.0\.conv\.', '.conv.depthwise.'),
            (r'\.conv\.1\.conv\.', '.conv.pointwise.'),
            (r'^conv_final\.0\.', 'norm.'),
            (r'^conv_final\.2\.0\.conv\.', 'classify.depthwise.'),
            (r'^conv_final\.2\.1\.conv\.', 'classify.pointwise.'),
        ),
        # the encoder in the authors' files
        drop=(r'^(convInit|down_layers)\.',),
    )
    NO_DECAY = ('norm',)

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        spatial_dims: int = 2,
        depths: Sequence[int] | None = None,
    ):
        super().__init__()
        check_spatial_dims(spatial_dims)
        widths = tuple(in_channels)
        ways = len(widths) - 1
        depths = (1,) * ways if depths is None else tuple(depths)
        if any(width % GROUPS for width in widths) or len(depths) != ways:
            raise ValueError(
                f'in_channels={widths} must be multiples of {GROUPS}, and depths={depths} have one '
                'entry fewer.'
            )
        self.stages = nn.ModuleList(
            UpStage(spatial_dims, widths[-1 - i], widths[-2 - i], depth)
            for i, depth in enumerate(depths)
        )
        self.norm = ChannelFirstGroupNorm(GROUPS, widths[0])
        self.classify = SeparableConv(spatial_dims, widths[0], num_classes, 1, bias=True)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The one map of logits (B, num_classes, *spatial), at the first feature's size.

        Args:
            features: (B, in_channels[i], *spatial_i), finest first, each half the one before,
                rounded up.
        """
        *skips, x = features
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
        return (self.classify(F.relu(self.norm(x))),)
