"""VSSD: a four-stage backbone mixed by non-causal state space duality.

Paper: VSSD: Vision Mamba with Non-Causal State Space Duality, arXiv 2407.18559 (ICCV 2025).
Authors' repository: YuHengsss/VSSD, without a licence file. The networks are those of August 2024;
a later release has other networks under the same names.

The mixers of the first three stages sum up the whole map in one state, whatever the order of its
tokens; the last stage has softmax attention. Depth-wise convolutions with a residual, before the
mixer and before the MLP, stand in for positions.

What differs here: tokens keep their grid from the stem to the output, so images of any size are
taken by the classifier as well, whose authors' form needs multiples of 32. In half precision the
state is a mean over the tokens, which a large map cannot overflow. `nano` is ours, for small data
and tests; it has no published result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..bricks import ChannelLastConv2d, DropPath, InvertedDownsample, Mlp, ResidualConvStem
from ..mixers import NonCausalSSD, SelfAttention
from ..registry import MODELS
from ..weights import staged_key_maps
from .base import StagedBackbone


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        heads: heads of the mixers of each stage.
        drop_path_rate: the rate it was published with.
        state: state size of the mixers.
        ratio: inner width of a mixer over its width.
        mlp_ratio: hidden width of the MLP over its width.
        attention: whether the mixers of each stage are softmax attention.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    drop_path_rate: float = 0.2
    state: int = 64
    ratio: float = 2.0
    mlp_ratio: float = 4.0
    attention: tuple[bool, ...] = (False, False, False, True)


class Block(nn.Module):
    """x + conv(x), x + mixer(norm(x)), x + conv(x), x + mlp(norm(x)); the convolutions stay.

    Args:
        dim: width of the tokens.
        arch: the variant.
        heads: heads of the mixer.
        attention: whether the mixer is softmax attention.
        drop_path: rate of the mixer's and the MLP's branch.
    """

    NO_DECAY = ('norm1', 'norm2')

    def __init__(
        self,
        dim: int,
        arch: Arch,
        *,
        heads: int,
        attention: bool = False,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.conv1 = ChannelLastConv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.LayerNorm(dim)
        if attention:
            self.mixer = SelfAttention(dim, heads)
        else:
            self.mixer = NonCausalSSD(dim, heads, state=arch.state, ratio=arch.ratio)
        self.drop_path = DropPath(drop_path)
        self.conv2 = ChannelLastConv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * arch.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        x = x + self.conv1(x)
        x = x + self.drop_path(self.mixer(self.norm1(x)))
        x = x + self.conv2(x)
        return x + self.drop_path(self.mlp(self.norm2(x)))


_TRUNK = (
    (r'^patch_embed\.', 'stem.'),
    (r'^layers\.', 'stages.'),
    (r'\.downsample\.conv\.0\.conv\.', '.downsample.expand.'),
    (r'\.downsample\.conv\.1\.conv\.', '.downsample.reduce.'),
    (r'\.downsample\.conv\.2\.', '.downsample.project.'),
    (r'(\.blocks\.\d+)\.cpe([12])\.', r'\1.conv\2.'),
    (r'(\.blocks\.\d+)\.attn\.', r'\1.mixer.'),
    (r'\.mixer\.conv2d\.', '.mixer.conv.'),
    (r'\.mixer\.norm\.', '.mixer.out_norm.'),
    (r'\.mixer\.to_qkv\.', '.mixer.qkv.'),
    (r'\.mixer\.to_out\.', '.mixer.out_proj.'),
)

AUTHOR_KEYS, CLASSIFIER_KEYS = staged_key_maps(_TRUNK, first_conv='stem.conv1.conv')

_TINY = Arch((64, 128, 256, 512), (2, 4, 8, 4), (2, 4, 8, 16))


@MODELS.register_module()
class VSSD(StagedBackbone):
    """VSSD (arXiv 2407.18559) for dense prediction. Arguments: see `StagedBackbone`.

    The stem and the downsamplings have BatchNorm, which the authors train with the statistics of
    each process, in detection too.

    >>> import torch
    >>> backbone = VSSD('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 24, 16, 24), (1, 48, 8, 12), (1, 96, 4, 6), (1, 192, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'micro': Arch((48, 96, 192, 384), (2, 2, 8, 4), (2, 4, 8, 16), state=48),
        'tiny': _TINY,
        'small': replace(_TINY, depths=(3, 4, 21, 5), drop_path_rate=0.4),
        'base': Arch((96, 192, 384, 768), (3, 4, 21, 5), (3, 6, 12, 24), 0.6),
        'nano': Arch((24, 48, 96, 192), (1, 1, 2, 1), (1, 2, 4, 8), 0.05, state=24),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        return ResidualConvStem(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(
            self.arch.dims[stage],
            self.arch,
            heads=self.arch.heads[stage],
            attention=self.arch.attention[stage],
            drop_path=drop_path,
        )

    def make_downsample(self, stage: int) -> nn.Module:
        return InvertedDownsample(*self.arch.dims[stage : stage + 2])
