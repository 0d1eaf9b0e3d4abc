"""FC-Siam-diff, the plain convolutional network that new ones are compared with.

Paper: Fully Convolutional Siamese Networks for Change Detection, arXiv 1810.08462 (ICIP 2018). A
U-Net whose encoder sees each date on its own and whose skip connections are the absolute difference
of the dates; the decoder begins with the second date's deepest map.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.change.detector import ChangeDetector
from mamba_dense.change.heads import ChangeHead
from mamba_dense.change.losses import BinaryChangeLoss
from mamba_dense.registry import MODELS

CONVOLUTIONS = (2, 2, 3, 3)  # of the encoder's levels, and of the decoder's, deepest last


def _block(channels: int, out_channels: int, dropout: float, *, transposed: bool) -> nn.Sequential:
    convolution = nn.ConvTranspose2d if transposed else nn.Conv2d
    return nn.Sequential(
        convolution(channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Dropout2d(dropout),
    )


@MODELS.register_module()
class FCSiamEncoder(BaseModule):
    """Four levels of convolutions with max pooling after each.

    Args:
        in_channels: of one date.
        channels: widths of the levels.
        dropout: rate after every convolution.
        init_cfg: as of mmengine's modules.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128),
        dropout: float = 0.2,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels
        self.out_channels = (*channels, channels[-1])
        self.levels = nn.ModuleList()
        for width, count in zip(channels, CONVOLUTIONS, strict=True):
            widths = (in_channels, *(width,) * count)
            self.levels.append(
                nn.Sequential(
                    *[
                        _block(a, b, dropout, transposed=False)
                        for a, b in zip(widths[:-1], widths[1:], strict=True)
                    ]
                )
            )
            in_channels = width

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x (B, C, H, W) to the levels at strides 1, 2, 4, 8 and the last one pooled, at 16."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
            x = F.max_pool2d(x, 2, ceil_mode=True)
        return (*features, x)


@MODELS.register_module()
class SiamDiffHead(ChangeHead):
    """The decoder of FC-Siam-diff: `change`.

    Args:
        in_channels: of the encoder's features, finest first.
        dropout: rate after every convolution but the last.
        loss: see `ChangeHead`.
    """

    OUTPUTS: ClassVar = {'change': 2}
    LOSS = BinaryChangeLoss

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        dropout: float = 0.2,
        loss: Mapping[str, float] | None = None,
    ):
        self._dropout = dropout
        super().__init__(in_channels, loss=loss)

    def _build(self, _options: Mapping[str, Any]) -> None:
        *skips, x = self.in_channels
        self.ups, self.levels = nn.ModuleList(), nn.ModuleList()
        for i, (skip, count) in reversed(list(enumerate(zip(skips, CONVOLUTIONS, strict=True)))):
            out = skips[max(i - 1, 0)]
            widths = (x + skip, *(skip,) * (count - 1), out)
            blocks = [
                _block(a, b, self._dropout, transposed=True)
                for a, b in zip(widths[:-1], widths[1:], strict=True)
            ]
            if i == 0:
                blocks[-1] = nn.ConvTranspose2d(widths[-2], self.outputs['change'], 3, padding=1)
            self.ups.append(nn.ConvTranspose2d(x, x, 3, padding=1, stride=2, output_padding=1))
            self.levels.append(nn.Sequential(*blocks))
            x = out

    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> dict[str, Tensor]:
        """See `ChangeHead.forward`; the logits have the size of the images."""
        x = post[-1]
        skips = zip(pre[-2::-1], post[-2::-1], strict=True)
        for up, level, (f, g) in zip(self.ups, self.levels, skips, strict=True):
            x = up(x)[..., : f.shape[2], : f.shape[3]]
            x = level(torch.cat((x, (f - g).abs()), dim=1))
        return {'change': x}


@MODELS.register_module()
class FCSiamDiff(ChangeDetector):
    """FC-Siam-diff as a detector of binary changes. Arguments: see `ChangeDetector`."""

    HEAD = 'SiamDiffHead'
