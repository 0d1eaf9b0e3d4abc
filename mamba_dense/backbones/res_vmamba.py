"""Res-VMamba: VMamba's first generation with a residual around each stage but the last.

Papers: Res-VMamba: Fine-Grained Food Category Visual Classification Using Selective State Space
Models with Deep Residual Learning, arXiv 2402.15761; its journal version, PLoS ONE 2025.
Authors' repository: ChiShengChen/ResVMamba; its licence is not noted here.

A stage's input, max-pooled by 2 and mapped to the next width by a 1x1 convolution, is added to the
stage's result after patch merging. In the released code these three convolutions are no parameters:
every call makes new random ones, in evaluation too, and its files are those of VMamba's first
generation. So there are three forms, which `Arch.residual` names:

- `learned`: parameters, as the papers mean it. A released file has none of them: they start at 0,
  and the network is then VMamba's.
- `random`: new ones in every call, as released; equal to the authors' in distribution alone.
- `absent`: none, which is the authors' backbone for dense prediction, and VMamba.

What differs: any widths are taken (the authors' code has those of tiny and small written in), and
grids of odd sides, whose last row or column is pooled alone. `base` is a configuration that the
released code cannot run; `nano` is ours, for small data and tests; neither has a published result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d, MixerBlock, PatchEmbed, PatchMerging
from ..mixers import SS2D
from ..registry import MODELS
from ..weights import TRUNK_NAMES, staged_key_maps
from .base import Stage, StagedBackbone


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate of its configuration.
        residual: `learned`, `random` or `absent`.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    residual: str = 'learned'


class Block(MixerBlock):
    """x + mixer(norm(x)), the mixer gated and of 16 states.

    Args:
        dim: width of the tokens.
        drop_path: rate of the branch.
    """

    def __init__(self, dim: int, drop_path: float = 0.0):
        mixer = SS2D(dim, ratio=2.0, state=16, conv_bias=True, gated=True)
        super().__init__(dim, mixer, drop_path=drop_path)


class RandomProjection(nn.Module):
    """A 1x1 convolution that is drawn anew, as torch starts one, in every call.

    Args:
        channels: width before.
        out_channels: width after.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.channels = channels
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, H, W, C')."""
        bound = self.channels**-0.5
        weight = x.new_empty(self.out_channels, self.channels).uniform_(-bound, bound)
        bias = x.new_empty(self.out_channels).uniform_(-bound, bound)
        return F.linear(x, weight, bias)

    def extra_repr(self) -> str:
        return f'{self.channels}, {self.out_channels}'


def _learned(channels: int, out_channels: int) -> nn.Module:
    return ChannelLastConv2d(channels, out_channels, 1)


def _absent(_channels: int, _out_channels: int) -> None:
    return None


RESIDUALS = {'learned': _learned, 'random': RandomProjection, 'absent': _absent}


class ResidualMerging(PatchMerging):
    """Patch merging of a stage's result, plus its pooled and projected input.

    Args:
        channels: width before.
        out_channels: width after.
        residual: a name of `RESIDUALS`.

    Raises:
        ValueError: another name.
    """

    def __init__(self, channels: int, out_channels: int, residual: str):
        super().__init__(channels, out_channels)
        if residual not in RESIDUALS:
            raise ValueError(f'residual={residual!r} is not known; known: {", ".join(RESIDUALS)}.')
        self.residual = RESIDUALS[residual](channels, out_channels)

    def forward(self, x: Tensor, entered: Tensor) -> Tensor:
        """x and entered (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        y = super().forward(x)
        if self.residual is None:
            return y
        pooled = F.max_pool2d(entered.permute(0, 3, 1, 2), 2, ceil_mode=True)  # (B, C, H', W')
        return y + self.residual(pooled.permute(0, 2, 3, 1))


# a released file has no residuals: they start at 0; A and D stack the routes
AUTHOR_KEYS, CLASSIFIER_KEYS = staged_key_maps(
    ((r'^res_convs\.(\d+)\.', r'stages.\1.downsample.residual.'), *TRUNK_NAMES),
    reshape=(r'\.mixer\.(A_log|D)$',),
    zero=(r'\.downsample\.residual\.',),
)


@MODELS.register_module()
class ResVMamba(StagedBackbone):
    """Res-VMamba (arXiv 2402.15761) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = ResVMamba('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'tiny': Arch((96, 192, 384, 768), (2, 2, 9, 2), 0.2),
        'small': Arch((96, 192, 384, 768), (2, 2, 27, 2), 0.3),
        'base': Arch((128, 256, 512, 1024), (2, 2, 27, 2), 0.6),
        'nano': Arch((32, 64, 128, 256), (1, 1, 2, 1), 0.05),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        return PatchEmbed(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        return ResidualMerging(*self.arch.dims[stage : stage + 2], self.arch.residual)

    def descend(self, stage: Stage, x: Tensor, entered: Tensor) -> Tensor:
        return stage.downsample(x, entered)
