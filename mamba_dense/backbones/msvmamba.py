"""MSVMamba: a four-stage backbone that scans most routes at half resolution.

Paper: Multi-Scale VMamba: Hierarchy in Hierarchy Visual State Space Model, arXiv 2405.14174
(NeurIPS 2024). Authors' repository: YuHengsss/MSVMamba, without a licence file.

Two generations were published. nano, micro and tiny have a patch stem, patch merging, gated
mixers of twice the width and a norm before the MLP; `v3_*` have a convolution stem and
downsampling, mixers of the tokens' width and a norm after the MLP, inside its residual branch.

What differs here: both generations run channel-last (the authors' weights fit either layout), and
the low-resolution sequence is a route, not a reordered copy. `nano` is the published one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..bricks import ConvDownsample, ConvMlp, ConvStem, MixerBlock, PatchEmbed, PatchMerging
from ..mixers import MultiScaleSS2D
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
        mlp_ratio: hidden width of the MLP over its width.
        gated: whether the mixers are gated.
        v3: the second generation: convolution stem and downsampling, the mixer's branches merged
            before their norm, the MLP's norm after it.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.2
    ratio: float = 2.0
    state: int = 1
    mlp_ratio: float = 2.0
    gated: bool = True
    v3: bool = False


class Block(MixerBlock):
    """x + mixer(norm(x)), then x + mlp(norm(x)), or x + norm(mlp(x)) in v3.

    Args:
        dim: width of the tokens.
        arch: the variant.
        drop_path: rate of both residual branches.
    """

    def __init__(self, dim: int, arch: Arch, drop_path: float = 0.0):
        mixer = MultiScaleSS2D(
            dim,
            ratio=arch.ratio,
            state=arch.state,
            gated=arch.gated,
            norm_first=not arch.v3,
        )
        mlp = ConvMlp(dim, int(dim * arch.mlp_ratio))
        super().__init__(dim, mixer, mlp, drop_path=drop_path, post_norm=arch.v3)


# 1x1 projections of channel-first networks may be (o, i, 1, 1), A and D stack the sets
AUTHOR_KEYS, CLASSIFIER_KEYS = staged_key_maps(
    (
        *TRUNK_NAMES,
        (r'\.mixer\.conv2d_b1\.', '.mixer.conv_low.'),
        (r'\.mixer\.se\.', '.mixer.channel_gate.'),
        (r'\.channel_gate\.fc\.0\.', '.channel_gate.fc1.'),
        (r'\.channel_gate\.fc\.2\.', '.channel_gate.fc2.'),
        (r'(\.blocks\.\d+)\.convFFN\.', r'\1.mlp.'),
        (r'\.mlp\.linear([12])\.', r'.mlp.fc\1.'),
        (r'\.mlp\.dwc\.', '.mlp.conv.'),
    ),
    reshape=(r'\.(in_proj|out_proj)\.weight$', r'\.mixer\.(A_log|D)$'),
)

_TINY = (96, 192, 384, 768)
_V3 = Arch(_TINY, (2, 2, 9, 2), ratio=1.0, mlp_ratio=4.0, gated=False, v3=True)


@MODELS.register_module()
class MSVMamba(StagedBackbone):
    """MSVMamba (arXiv 2405.14174) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = MSVMamba('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 48, 16, 24), (1, 96, 8, 12), (1, 192, 4, 6), (1, 384, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'nano': Arch((48, 96, 192, 384), (1, 2, 5, 2)),
        'micro': Arch((64, 128, 256, 512), (1, 2, 5, 2)),
        'tiny': Arch(_TINY, (1, 2, 9, 2)),
        'v3_tiny': _V3,
        'v3_small': replace(_V3, depths=(2, 3, 20, 2), drop_path_rate=0.4),
        'v3_base': replace(
            _V3,
            dims=(128, 256, 512, 1024),
            depths=(2, 4, 18, 2),
            drop_path_rate=0.5,
            gated=True,
        ),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        stem = ConvStem if self.arch.v3 else PatchEmbed
        return stem(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        downsample = ConvDownsample if self.arch.v3 else PatchMerging
        return downsample(*self.arch.dims[stage : stage + 2])
