"""Mamba-YOLO's neck: path aggregation whose blocks scan (arXiv 2406.05835, arXiv 1803.01534)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.backbones.mamba_yolo import Block, odss_entry, xss_entry
from mamba_dense.bricks import ConvSiLU
from mamba_dense.registry import MODELS

# how a block of the neck begins: the detector's, and the mask variant's
ENTRIES = MappingProxyType({'xss': xss_entry, 'odss': odss_entry})


@MODELS.register_module()
class MambaYOLOPAFPN(BaseModule):
    """Top-down, then bottom-up over a backbone's levels; each level keeps its width.

    Args:
        in_channels: widths of the levels, the finest first.
        scans: mixers in a row in each block.
        block: 'xss' (the detector's) or 'odss' (the mask variant's); see `ENTRIES`.
        with_lsblock: whether a local block leads to each scan.
        state: state size of the scans.
        init_cfg: as any mmengine module's.

    Raises:
        ValueError: an unknown block, fewer than two levels, or no scan.

    >>> import torch
    >>> neck = MambaYOLOPAFPN([16, 32], state=2).eval()
    >>> [tuple(y.shape) for y in neck((torch.zeros(1, 16, 9, 5), torch.zeros(1, 32, 5, 3)))]
    [(1, 16, 9, 5), (1, 32, 5, 3)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        scans: int = 1,
        block: str = 'xss',
        with_lsblock: bool = True,
        state: int = 16,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        if block not in ENTRIES:
            raise ValueError(f'block={block!r} of MambaYOLOPAFPN; known: {", ".join(ENTRIES)}.')
        if len(in_channels) < 2 or scans < 1:
            raise ValueError(
                f'in_channels={tuple(in_channels)} and scans={scans} of MambaYOLOPAFPN: give at '
                'least two levels and one scan.'
            )
        self.in_channels = tuple(in_channels)
        options = {'scans': scans, 'with_lsblock': with_lsblock, 'state': state}

        def make(channels: int, dim: int) -> Block:
            return Block(ENTRIES[block](channels, dim), dim, **options)

        pairs = list(zip(self.in_channels[:-1], self.in_channels[1:], strict=True))
        # the coarsest pair first, as it runs
        self.top_down = nn.ModuleList(make(fine + coarse, fine) for fine, coarse in pairs[::-1])
        self.downsamples = nn.ModuleList(ConvSiLU(fine, fine, 3, stride=2) for fine, _ in pairs)
        self.bottom_up = nn.ModuleList(make(fine + coarse, coarse) for fine, coarse in pairs)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The levels, mixed.

        Args:
            inputs: (B, in_channels[i], H_i, W_i), the finest first.

        Returns:
            Maps of the same shapes, contiguous.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(
                f'MambaYOLOPAFPN was built for {len(self.in_channels)} levels of '
                f'{self.in_channels} channels, got {len(inputs)}.'
            )
        levels = [x.permute(0, 2, 3, 1).contiguous() for x in inputs]  # (B, H, W, C)
        # what a level brings to the way up: the coarsest as it is, the others as they came down
        down = [levels[-1]]
        for block, fine in zip(self.top_down, levels[-2::-1], strict=True):
            down.append(block(torch.cat([_enlarged(down[-1], fine), fine], dim=-1)))
        up = [down.pop()]
        for halve, block in zip(self.downsamples, self.bottom_up, strict=True):
            up.append(block(torch.cat([halve(up[-1]), down.pop()], dim=-1)))
        return tuple(x.permute(0, 3, 1, 2).contiguous() for x in up)  # (B, C, H, W)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    """x (B, h, w, C) to the grid of `like` (B, H, W, C') by nearest neighbours."""
    x = F.interpolate(x.permute(0, 3, 1, 2), size=tuple(like.shape[1:3]), mode='nearest')
    return x.permute(0, 2, 3, 1)  # (B, H, W, C)
