"""Mamba-YOLO's backbone: four stages of selective scans between local blocks.

Paper: Mamba YOLO: A Simple Baseline for Object Detection with State Space Model, arXiv 2406.05835
(AAAI 2025). Authors' repository: HZAI-ZJNU/Mamba-YOLO, AGPL-3.0: written here from the paper and
from measured numbers, without its source.

Two generations were published. `tiny`, `base` and `large` are the released code and the paper's
first version (6.1 M parameters the whole detector T): a local block before each scan, repeats of
(3, 3, 9, 3) before scaling. `aaai_*` is the paper's final version (19.1 M the detector B), whose
code was not released: no local block, repeats of (3, 6, 6, 3). The authors' README calls B "M".

What differs here: the maps run channel-last, so that 1x1 convolutions are linear layers, and the
scans read the tokens through the routes. `nano` is ours, for small data and tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from torch import Tensor, nn

from ..bricks import (
    ConvSiLU,
    ConvSiLUStem,
    DropPath,
    GatedConvMlp,
    LocalBlock,
    PooledPyramid,
    SpaceToDepth,
)
from ..mixers import GeluSS2D
from ..registry import MODELS
from ..weights import KeyMap
from .base import StagedBackbone

NORM_EPS = 1e-6


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        with_lsblock: whether a local block leads to each scan.
        state: state size of the scans.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    with_lsblock: bool = True
    state: int = 16


def scaled(
    depth: float, width: float, widest: int, repeats: tuple[int, ...] = (3, 3, 9, 3)
) -> Arch:
    """The variant that YOLO's three scale numbers make of widths (128, 256, 512, 1024)."""
    dims = tuple(ceil(min(dim, widest) * width / 8) * 8 for dim in (128, 256, 512, 1024))
    return Arch(dims, tuple(max(round(count * depth), 1) for count in repeats))


_AAAI = (3, 6, 6, 3)


class Block(nn.Module):
    """w = u + mixers(norm(local(u))), then w + mlp(norm(w)), where u = entry(x).

    Args:
        entry: what leads x into the block's width: the ODSS block of the backbone has a
            convolution there, the XSS block of the neck one without bias, or nothing.
        dim: width of the tokens behind it.
        scans: mixers one after another, without norm or residual between them.
        with_lsblock: whether `local` is a local block; it feeds the scans alone.
        state: state size of the scans.
        drop_path: rate of both residual branches.
    """

    NO_DECAY = ('norm1', 'norm2')

    def __init__(
        self,
        entry: nn.Module,
        dim: int,
        *,
        scans: int = 1,
        with_lsblock: bool = True,
        state: int = 16,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.entry = entry
        self.local = LocalBlock(dim) if with_lsblock else nn.Identity()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mixers = nn.Sequential(*(GeluSS2D(dim, state=state) for _ in range(scans)))
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = GatedConvMlp(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, H, W, dim)."""
        x = self.entry(x)
        x = x + self.drop_path(self.mixers(self.norm1(self.local(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def odss_entry(channels: int, dim: int) -> nn.Module:
    """How an ODSS block begins."""
    return ConvSiLU(channels, dim, bias=True)


def xss_entry(channels: int, dim: int) -> nn.Module:
    """How an XSS block begins."""
    return nn.Identity() if channels == dim else ConvSiLU(channels, dim)


# inside a block: authors' names to ours
BLOCK_KEYS = (
    (r'\.(?:proj_conv|in_proj)\.0\.', '.entry.conv.'),
    (r'\.(?:proj_conv|in_proj)\.1\.', '.entry.norm.'),
    (r'\.norm\.norm\.', '.norm1.'),
    (r'\.norm2\.norm\.', '.norm2.'),
    (r'\.op\.', '.mixers.0.'),
    (r'\.ss2d\.', '.mixers.'),
    (r'\.conv2d\.', '.conv.'),
    (r'\.dt_projs_(weight|bias)$', r'.dt_proj_\1'),
    (r'\.A_logs$', '.A_log'),
    (r'\.Ds$', '.D'),
    (r'\.lsblock\.fc1\.', '.local.conv.'),
    (r'\.lsblock\.fc2\.', '.local.fc1.'),
    (r'\.lsblock\.fc3\.', '.local.fc2.'),
    (r'\.lsblock\.', '.local.'),
    (r'\.mlp\.dwconv\.', '.mlp.conv.'),
    (r'\.bn\.', '.norm.'),
)
RESHAPE = (
    r'\.(in_proj|out_proj|mlp\.fc1|mlp\.fc2|local\.fc1|local\.fc2)\.weight$',
    r'\.mixers\.\d+\.(A_log|D)$',
)


def _trunk_keys() -> tuple[tuple[str, str], ...]:
    keys = [
        (r'^model\.0\.conv\.0\.', 'stem.conv.'),
        (r'^model\.0\.conv\.1\.', 'stem.norm.'),
        (r'^model\.0\.conv\.3\.', 'stem.conv2.'),
        (r'^model\.0\.conv\.4\.', 'stem.norm2.'),
        (r'^model\.0\.', 'stem.'),
        (r'^model\.8\.cv(\d)\.', r'stages.3.tail.conv\1.'),
        (r'^model\.8\.', 'stages.3.tail.'),
    ]
    for stage in range(4):
        layer = 2 * stage + 1
        # a stage of one block has no inner index
        keys.append((rf'^model\.{layer}\.(\d+)\.', rf'stages.{stage}.blocks.\1.'))
        keys.append((rf'^model\.{layer}\.', f'stages.{stage}.blocks.0.'))
        keys.append((rf'^model\.{layer + 1}\.pw_linear\.0\.', f'stages.{stage}.downsample.conv.'))
        keys.append((rf'^model\.{layer + 1}\.pw_linear\.1\.', f'stages.{stage}.downsample.norm.'))
        keys.append((rf'^model\.{layer + 1}\.', f'stages.{stage}.downsample.'))
    return tuple(keys)


TRUNK_KEYS = _trunk_keys()


@MODELS.register_module()
class MambaYOLO(StagedBackbone):
    """Mamba-YOLO's backbone (arXiv 2406.05835). Arguments: see `StagedBackbone`.

    A pooled pyramid (SPPF) follows the last stage; the detector takes `out_indices=(1, 2, 3)`.

    >>> import torch
    >>> backbone = MambaYOLO('nano', out_indices=(1, 2, 3)).eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 32, 8, 12), (1, 64, 4, 6), (1, 128, 2, 3)]
    """

    OUTPUT_NORM = False
    ARCHS: Mapping[str, Any] = {
        'tiny': scaled(0.33, 0.25, 1024),
        'base': scaled(0.33, 0.50, 1024),
        'large': scaled(0.67, 0.75, 768),
        'aaai_tiny': replace(scaled(0.33, 0.25, 1024, _AAAI), with_lsblock=False),
        'aaai_base': replace(scaled(0.33, 0.50, 1024, _AAAI), with_lsblock=False),
        'aaai_large': replace(scaled(0.67, 0.75, 768, _AAAI), with_lsblock=False),
        'nano': Arch((16, 32, 64, 128), (1, 1, 1, 1), state=4),
    }
    AUTHOR_KEYS = KeyMap(
        rename=(*TRUNK_KEYS, *BLOCK_KEYS),
        drop=(r'^model\.(9|1\d|2\d)\.',),
        reshape=RESHAPE,
        inputs=(r'^stem\.conv\.weight$',),
    )

    def make_stem(self, in_channels: int) -> nn.Module:
        return ConvSiLUStem(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        dim, arch = self.arch.dims[stage], self.arch
        return Block(
            odss_entry(dim, dim),
            dim,
            with_lsblock=arch.with_lsblock,
            state=arch.state,
            drop_path=drop_path,
        )

    def make_downsample(self, stage: int) -> nn.Module:
        return SpaceToDepth(*self.arch.dims[stage : stage + 2])

    def make_tail(self, stage: int) -> nn.Module | None:
        dims = self.arch.dims
        return PooledPyramid(dims[stage], dims[stage]) if stage == len(dims) - 1 else None

    def make_out_norm(self, _dim: int) -> nn.Module:
        raise ValueError('output_norm=True is not a MambaYOLO; leave it out: no norm is published.')

    def _init_parameters(self) -> None:
        """Every layer keeps torch's own start, as the authors' do."""
