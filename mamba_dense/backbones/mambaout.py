"""MambaOut: a four-stage backbone of gated convolutions, Mamba's blocks without a scan.

Paper: MambaOut: Do We Really Need Mamba for Vision?, arXiv 2405.07992 (CVPR 2025).
Authors' repository: yuweihao/MambaOut, Apache-2.0 licence.

Fully convolutional, for images of any size. The hidden width of a block is 8 / 3 of its own, cut to
a whole number: Base's 341, 682 and 1365 are no slip, its weights have them.

What differs here: the trunk runs channel-last. The authors publish no code for
dense prediction and name no norm of the outputs: there is none unless `output_norm=True`. `nano` is
ours, for small data and tests; it has no published result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..bricks import ConvDownsample, ConvStem, DropPath
from ..mixers import GatedConv
from ..registry import MODELS
from ..weights import KeyMap
from .base import StagedBackbone

EPS = 1e-6


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        ratio: hidden width of a block over its width.
        conv_ratio: convolved channels of a block over its width.
        kernel: side of the convolutions' window.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    ratio: float = 8 / 3
    conv_ratio: float = 1.0
    kernel: int = 7


class Block(nn.Module):
    """x + mixer(norm(x)).

    Args:
        dim: width of the tokens.
        arch: the variant.
        drop_path: rate of the residual branch.
    """

    NO_DECAY = ('norm',)

    def __init__(self, dim: int, arch: Arch, drop_path: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.mixer = GatedConv(
            dim, int(arch.ratio * dim), int(arch.conv_ratio * dim), kernel=arch.kernel
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        return x + self.drop_path(self.mixer(self.norm(x)))


# their downsampling stands before its stage, ours after the one before
_TRUNK = (
    (r'^downsample_layers\.0\.(conv|norm)1\.', r'stem.\1.'),
    (r'^downsample_layers\.0\.', 'stem.'),
    *((rf'^downsample_layers\.{i + 1}\.', f'stages.{i}.downsample.') for i in range(3)),
    (r'^stages\.(\d+)\.(\d+)\.', r'stages.\1.blocks.\2.'),
    (r'(\.blocks\.\d+)\.conv\.', r'\1.mixer.conv.'),
    (r'(\.blocks\.\d+)\.fc1\.', r'\1.mixer.in_proj.'),
    (r'(\.blocks\.\d+)\.fc2\.', r'\1.mixer.out_proj.'),
)
AUTHOR_KEYS = KeyMap(
    rename=_TRUNK,
    drop=(r'^norm\.', r'^head\.'),
    fresh=(r'^out_norms\.',),
    inputs=(r'^stem\.conv\.weight$',),
)
CLASSIFIER_KEYS = KeyMap(
    rename=(*_TRUNK, (r'^(stem|stages)\.', r'backbone.\1.'), (r'^norm\.', 'head.pool_norm.')),
    inputs=(r'^backbone\.stem\.conv\.weight$',),
)


@MODELS.register_module()
class MambaOut(StagedBackbone):
    """MambaOut (arXiv 2405.07992) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = MambaOut('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 24, 16, 24), (1, 48, 8, 12), (1, 96, 4, 6), (1, 144, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'femto': Arch((48, 96, 192, 288), (3, 3, 9, 3), 0.025),
        'kobe': Arch((48, 96, 192, 288), (3, 3, 15, 3), 0.025),
        'tiny': Arch((96, 192, 384, 576), (3, 3, 9, 3), 0.2),
        'small': Arch((96, 192, 384, 576), (3, 4, 27, 3), 0.4),
        'base': Arch((128, 256, 512, 768), (3, 4, 27, 3), 0.6),
        'nano': Arch((24, 48, 96, 144), (1, 1, 2, 1), 0.05),
    }

    OUTPUT_NORM = False
    CLASSIFIER_HEAD = 'PoolNormMlp'
    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS
    # whatever has one axis, as the authors exempt it
    NO_DECAY = (
        'out_norms',
        *(f'stem.{name}' for name in ('conv.bias', 'norm', 'conv2.bias', 'norm2')),
        *(f'stages.{i}.downsample.{name}' for i in range(3) for name in ('conv.bias', 'norm')),
    )

    def make_stem(self, in_channels: int) -> nn.Module:
        return ConvStem(in_channels, self.arch.dims[0], eps=EPS)

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        return ConvDownsample(*self.arch.dims[stage : stage + 2], eps=EPS)

    def make_out_norm(self, dim: int) -> nn.Module:
        return nn.LayerNorm(dim, eps=EPS)

    def _init_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
