"""MobileMamba: a light three-stage backbone that scans some channels and convolves others.

Paper: MobileMamba: Lightweight Multi-Receptive Visual Mamba Network, arXiv 2411.15941 (CVPR 2025).
Authors' repository: lewandofskee/MobileMamba, licence not noted.

Its maps have strides 16, 32 and 64 and no norm of their own. A block puts the mixer between two
pairs of depth-wise convolution and perceptron, each with a residual, and adds its own input once
more to what comes out: the signal about doubles in every block, and the published weights depend
on it. Nearly every layer is a convolution with BatchNorm. `b1`, `b2` and `b4` are one network that
was trained on images of 256, 384 and 512 pixels.

What differs here: the network runs channel-last and the scan reads the map along its two routes in
place. The authors' fallback for the CPU mixes the images of a batch; this does what their GPU
kernel does. `nano` is ours, for small data and tests: its stem halves the image twice, so that its
maps have strides 4, 8 and 16; it has no published result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ConvNorm, ConvNormMlp, DropPath, SqueezeExcite
from ..mixers import MultiReceptiveMixer
from ..registry import MODELS
from ..weights import KeyMap
from .base import StagedBackbone


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage; the first a multiple of 8.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        scan_ratios: share of the channels that a mixer scans, by stage.
        local_ratios: share of the channels that a mixer convolves, by stage.
        kernels: side of a mixer's depth-wise convolutions, by stage.
        ratio: inner width of a scan over its width.
        stem_strides: of the stem's four convolutions, each 1 or 2.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    scan_ratios: tuple[float, ...] = (0.8, 0.7, 0.6)
    local_ratios: tuple[float, ...] = (0.2, 0.2, 0.3)
    kernels: tuple[int, ...] = (7, 5, 3)
    ratio: float = 2.0
    stem_strides: tuple[int, ...] = (2, 2, 2, 2)


class Stem(nn.Module):
    """Four 3x3 convolutions, ReLU between them; `stride` is the product of theirs.

    Args:
        in_channels: channels of the image.
        channels: width of a token; an eighth of it after the first convolution.
        strides: of the convolutions; the published networks have 2 in each.

    Raises:
        ValueError: `channels` is no multiple of 8, or `strides` are not four of 1 and 2.
    """

    min_size = 1

    def __init__(self, in_channels: int, channels: int, strides: Sequence[int] = (2, 2, 2, 2)):
        super().__init__()
        if channels % 8:
            raise ValueError(f'dims[0]={channels} of a MobileMamba must be a multiple of 8.')
        if len(strides) != 4 or not set(strides) <= {1, 2}:
            raise ValueError(
                f'stem_strides={tuple(strides)} of a MobileMamba must be four numbers, each 1 or 2.'
            )
        self.stride = prod(strides)
        widths = (in_channels, *(channels // part for part in (8, 4, 2, 1)))
        self.convs = nn.ModuleList(
            ConvNorm(before, after, 3, stride=stride)
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, H, W, in_channels) to (B, ceil(H / stride), ceil(W / stride), channels)."""
        x = self.convs[0](x)
        for conv in self.convs[1:]:
            x = conv(F.relu(x))
        return x


class Block(nn.Module):
    """x + drop_path(f(x)), f five residual steps: (conv, MLP), mixer, (conv, MLP).

    Args:
        dim: width of the tokens.
        arch: the variant.
        stage: whose ratios and kernel of `arch` are used.
        drop_path: rate.
    """

    def __init__(self, dim: int, arch: Arch, stage: int, drop_path: float = 0.0):
        super().__init__()
        self.dw0 = ConvNorm(dim, dim, 3, groups=dim, start=0.0)
        self.ffn0 = ConvNormMlp(dim, 2 * dim)
        self.mixer = MultiReceptiveMixer(
            dim,
            scan_ratio=arch.scan_ratios[stage],
            local_ratio=arch.local_ratios[stage],
            kernel=arch.kernels[stage],
            ratio=arch.ratio,
        )
        self.dw1 = ConvNorm(dim, dim, 3, groups=dim, start=0.0)
        self.ffn1 = ConvNormMlp(dim, 2 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        y = x
        for part in (self.dw0, self.ffn0, self.mixer, self.dw1, self.ffn1):
            y = y + part(y)
        return x + self.drop_path(y)


class InvertedMerging(nn.Module):
    """Widen fourfold, a depth-wise convolution of stride 2, squeeze-excitation, projection.

    Args:
        channels: width before.
        out_channels: width after.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        hidden = 4 * channels
        self.conv1 = ConvNorm(channels, hidden, relu=True)
        self.conv2 = ConvNorm(hidden, hidden, 3, stride=2, groups=hidden, relu=True)
        self.se = SqueezeExcite(hidden, channels)
        self.conv3 = ConvNorm(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        return self.conv3(self.se(self.conv2(self.conv1(x))))


class Downsample(nn.Module):
    """A merging between two pairs of depth-wise convolution and MLP, each with a residual.

    Args:
        channels: width before.
        out_channels: width after.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.dw0 = ConvNorm(channels, channels, 3, groups=channels)
        self.ffn0 = ConvNormMlp(channels, 2 * channels)
        self.merge = InvertedMerging(channels, out_channels)
        self.dw1 = ConvNorm(out_channels, out_channels, 3, groups=out_channels)
        self.ffn1 = ConvNormMlp(out_channels, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        for part in (self.dw0, self.ffn0):
            x = x + part(x)
        x = self.merge(x)
        for part in (self.dw1, self.ffn1):
            x = x + part(x)
        return x


_LONGEST = 8  # blocks of a stage that the map of names reaches


def _stage_names(stage: int) -> tuple[tuple[str, str], ...]:
    """Names below the authors' `blocks2` or `blocks3`, which begin with the downsampling."""
    theirs, way = rf'^blocks{stage + 1}\.', f'stages.{stage - 1}.downsample.'
    return (
        (theirs + r'0\.0\.m\.', f'{way}dw0.'),
        (theirs + r'0\.1\.m\.', f'{way}ffn0.'),
        (theirs + r'1\.', f'{way}merge.'),
        (theirs + r'2\.0\.m\.', f'{way}dw1.'),
        (theirs + r'2\.1\.m\.', f'{way}ffn1.'),
        *((rf'{theirs}{i + 3}\.', f'stages.{stage}.blocks.{i}.') for i in range(_LONGEST)),
    )


_TRUNK = (
    *((rf'^patch_embed\.{2 * i}\.', f'stem.convs.{i}.') for i in range(4)),
    (r'^blocks1\.(\d+)\.', r'stages.0.blocks.\1.'),
    *_stage_names(1),
    *_stage_names(2),
    (r'\.(dw|ffn)([01])\.m\.', r'.\1\2.'),
    (r'\.pw([12])\.', r'.fc\1.'),
    (r'\.mixer\.m\.attn\.', '.mixer.'),
    (r'\.local_op\.dwconv3x3\.', '.local1.conv.'),
    (r'\.local_op\.bn1\.', '.local1.norm.'),
    (r'\.local_op\.dwconv1x1\.', '.local2.conv.'),
    (r'\.local_op\.bn2\.', '.local2.norm.'),
    (r'\.global_op\.', '.scan.'),
    (r'\.scan\.wt_filter$', '.scan.wavelet.analysis'),
    (r'\.scan\.iwt_filter$', '.scan.wavelet.synthesis'),
    (r'\.scan\.base_scale\.weight$', '.scan.ss2d_scale'),
    (r'\.scan\.wavelet_convs\.0\.', '.scan.band_conv.'),
    (r'\.scan\.wavelet_scale\.0\.weight$', '.scan.band_scale'),
    (r'\.scan\.global_atten\.', '.scan.ss2d.'),
    (r'\.ss2d\.conv2d\.', '.ss2d.conv.'),
    (r'\.ss2d\.dt_projs_(weight|bias)$', r'.ss2d.dt_proj_\1'),
    (r'\.ss2d\.A_logs$', '.ss2d.A_log'),
    (r'\.ss2d\.Ds$', '.ss2d.D'),
    (r'\.mixer\.proj\.1\.', '.mixer.out_proj.'),
    (r'\.c\.weight$', '.conv.weight'),
    (r'\.bn\.', '.norm.'),
)
_RESHAPE = (
    r'\.ss2d\.(A_log|D)$',
    r'\.scan\.(ss2d|band)_scale$',
)

AUTHOR_KEYS = KeyMap(
    rename=_TRUNK,
    drop=(r'^head\.', r'^head_dist\.'),
    reshape=_RESHAPE,
    inputs=(r'^stem\.convs\.0\.conv\.weight$',),
)
CLASSIFIER_KEYS = KeyMap(
    rename=(
        (r'^head_dist\.bn\.', 'head.distilled_norm.'),
        (r'^head_dist\.l\.', 'head.distilled_fc.'),
        (r'^head\.l\.', 'head.fc.'),
        *_TRUNK,
        (r'^(stem|stages)\.', r'backbone.\1.'),
    ),
    reshape=_RESHAPE,
    inputs=(r'^backbone\.stem\.convs\.0\.conv\.weight$',),
)
_LARGE = Arch((200, 376, 448), (2, 3, 2), 0.03)


@MODELS.register_module()
class MobileMamba(StagedBackbone):
    """MobileMamba (arXiv 2411.15941) for dense prediction. Arguments: see `StagedBackbone`.

    The authors count the stem as the first of their outputs: their out_indices 1, 2, 3 are 0, 1, 2
    here.

    >>> import torch
    >>> backbone = MobileMamba('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 128, 192))]
    [(1, 48, 32, 48), (1, 64, 16, 24), (1, 96, 8, 12)]
    """

    ARCHS: Mapping[str, Any] = {
        't2': Arch((144, 272, 368), (1, 2, 2)),
        't4': Arch((176, 368, 448), (1, 2, 2)),
        's6': Arch((192, 384, 448), (1, 2, 2)),
        'b1': _LARGE,
        'b2': _LARGE,
        'b4': _LARGE,
        'nano': Arch((48, 64, 96), (1, 1, 2), stem_strides=(2, 1, 2, 1)),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        return Stem(in_channels, self.arch.dims[0], self.arch.stem_strides)

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch, stage, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        return Downsample(*self.arch.dims[stage : stage + 2])

    def make_out_norm(self, _dim: int) -> nn.Module:
        return nn.Identity()

    def _init_parameters(self) -> None:
        """Nothing: every part starts as published."""
