"""VMamba: a four-stage backbone mixed by the 2-D selective scan.

Paper: VMamba: Visual State Space Model, arXiv 2401.10166 (NeurIPS 2024).
Authors' repository: MzeroMiko/VMamba, MIT licence.

Two generations were published. `vanilla_*` has a patch stem, patch merging, gated mixers of 16
states and no MLP; the others have a convolution stem and downsampling, mixers of one state without
a gate, and an MLP. They are named by mixer ratio and depth of the third stage, as the authors do:
`tiny_s1l8` is what the paper's tables call VMamba-T.

What differs here: both generations run channel-last (the authors' weights fit either layout), and
the scans read the tokens through the routes instead of copying the map four times. `nano` is ours,
for small data and tests; it has no published result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..bricks import ConvDownsample, ConvStem, MixerBlock, Mlp, PatchEmbed, PatchMerging
from ..mixers import SS2D, CascadeSS2D
from ..registry import MODELS
from ..weights import TRUNK_NAMES, staged_key_maps
from .base import StagedBackbone


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        ratio: inner width of a mixer over its width.
        state: state size of the scans.
        mlp_ratio: hidden width of the MLP over its width; 0 leaves the MLP out.
        conv_bias: whether the mixers' depth-wise convolutions have a bias.
        gated: whether the mixers are gated.
        routes: the mixers' routes, by name.
        cascade: rows then columns instead of routes over the whole map (an ablation).
        patch_stem: patch stem instead of two convolutions.
        patch_merging: patch merging between the stages instead of a convolution.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    ratio: float = 1.0
    state: int = 1
    mlp_ratio: float = 4.0
    conv_bias: bool = False
    gated: bool = False
    routes: str = 'cross'
    cascade: bool = False
    patch_stem: bool = False
    patch_merging: bool = False


_VANILLA = Arch(
    dims=(96, 192, 384, 768),
    depths=(2, 2, 9, 2),
    drop_path_rate=0.2,
    ratio=2.0,
    state=16,
    mlp_ratio=0.0,
    conv_bias=True,
    gated=True,
    patch_stem=True,
    patch_merging=True,
)
_TINY = (96, 192, 384, 768)
_BASE = (128, 256, 512, 1024)


class Block(MixerBlock):
    """x + mixer(norm(x)), then x + mlp(norm(x)); no norm or MLP of the second half at ratio 0.

    Args:
        dim: width of the tokens.
        arch: the variant.
        drop_path: rate of both residual branches.
    """

    def __init__(self, dim: int, arch: Arch, drop_path: float = 0.0):
        options = {
            'ratio': arch.ratio,
            'state': arch.state,
            'conv_bias': arch.conv_bias,
            'gated': arch.gated,
        }
        if arch.cascade:
            mixer = CascadeSS2D(dim, **options)
        else:
            mixer = SS2D(dim, routes=arch.routes, **options)
        hidden = int(dim * arch.mlp_ratio)
        super().__init__(dim, mixer, Mlp(dim, hidden) if hidden else None, drop_path=drop_path)


# 1x1 projections of channel-first networks are (o, i, 1, 1), A and D stack the routes
AUTHOR_KEYS, CLASSIFIER_KEYS = staged_key_maps(
    TRUNK_NAMES,
    reshape=(r'\.(in_proj|out_proj|fc1|fc2)\.weight$', r'\.mixer\.(A_log|D)$'),
)


@MODELS.register_module()
class VMamba(StagedBackbone):
    """VMamba (arXiv 2401.10166) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = VMamba('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'vanilla_tiny': _VANILLA,
        'vanilla_small': replace(_VANILLA, depths=(2, 2, 27, 2), drop_path_rate=0.3),
        'vanilla_base': replace(_VANILLA, dims=_BASE, depths=(2, 2, 27, 2), drop_path_rate=0.6),
        'tiny_s2l5': Arch(_TINY, (2, 2, 5, 2), 0.2, ratio=2.0),
        'small_s2l15': Arch(_TINY, (2, 2, 15, 2), 0.3, ratio=2.0),
        'base_s2l15': Arch(_BASE, (2, 2, 15, 2), 0.6, ratio=2.0),
        'tiny_s1l8': Arch(_TINY, (2, 2, 8, 2), 0.2),
        'small_s1l20': Arch(_TINY, (2, 2, 20, 2), 0.3),
        'base_s1l20': Arch(_BASE, (2, 2, 20, 2), 0.5),
        'nano': Arch((32, 64, 128, 256), (1, 1, 2, 1), 0.05),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        stem = PatchEmbed if self.arch.patch_stem else ConvStem
        return stem(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        downsample = PatchMerging if self.arch.patch_merging else ConvDownsample
        return downsample(*self.arch.dims[stage : stage + 2])
