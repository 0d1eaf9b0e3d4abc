"""EfficientViM: a light three-stage backbone mixed among hidden states.

Paper: EfficientViM: Efficient Vision Mamba with Hidden State Mixer-based State Space Duality,
arXiv 2411.15241 (CVPR 2025).
Authors' repository: mlvlab/EfficientViM.

Strides 16, 32 and 64. Nothing scans: a sum over all tokens makes the hidden states. Every layer's
result is blended with its input by a learned gate a channel, so there is no residual to drop.

What differs here: maps run channel-last, rectangular images are taken by the classifier too (the
authors' takes the square root of the number of tokens for a side), and the parameter `A`, which
cancels in a softmax, is frozen. `train()` of the authors' dense backbone keeps all batch norms in
evaluation mode: here that is `norm_eval=True`. `nano` is ours, for small data and tests; its stem
ends at stride 4, and it has no published result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..bricks import ExemptConvNorm, ExtendedFPN, SqueezeExcite
from ..mixers import HiddenStateMixer
from ..registry import MODELS
from ..weights import KeyMap
from .base import StagedBackbone

# the authors' neck for detection
MODELS.register_module(module=ExtendedFPN)


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        states: hidden states of each stage's mixers.
        drop_path_rate: 0, as there is nothing to drop.
        mlp_ratio: hidden width of the MLP over its width.
        ratio: inner width of the hidden states over the width.
        stem_depth: convolutions of the stem, each of stride 2.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    states: tuple[int, ...] = (49, 25, 9)
    drop_path_rate: float = 0.0
    mlp_ratio: float = 4.0
    ratio: float = 1.0
    stem_depth: int = 4

    def __post_init__(self) -> None:
        if len(self.states) != len(self.dims):
            raise ValueError(
                f'arch has states={self.states} and dims={self.dims}; give one for every stage.'
            )


class Stem(nn.Sequential):
    """Convolutions of stride 2 that double the width each, with a ReLU after all but the last.

    Args:
        in_channels: channels of the image.
        channels: width of a token.
        depth: number of convolutions.

    Raises:
        ValueError: `channels` cannot be halved so often.
    """

    min_size = 1

    def __init__(self, in_channels: int, channels: int, depth: int = 4):
        self.stride = 2**depth
        first = 2 ** (depth - 1)
        if channels % first:
            raise ValueError(f'dims[0]={channels} must be a multiple of {first}, for the stem.')
        widths = [in_channels, *(channels // 2**i for i in reversed(range(depth)))]
        super().__init__(
            *(
                ExemptConvNorm(widths[i], widths[i + 1], 3, stride=2, relu=i < depth - 1)
                for i in range(depth)
            )
        )


class Downsample(nn.Module):
    """An inverted bottleneck of stride 2 with squeeze and excitation, a 3x3 layer on either side.

    Args:
        channels: width before.
        out_channels: width after; the bottleneck is four times as wide.
    """

    NO_DECAY = ('excite.fc1.bias', 'excite.fc2.bias')

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        hidden = 4 * out_channels
        # a quarter as a multiple of 8, as timm rounds it: upward if it would lose a tenth
        squeezed = max(8, int(hidden / 4 + 4) // 8 * 8)
        squeezed += 8 if squeezed < 0.9 * hidden / 4 else 0
        self.conv1 = ExemptConvNorm(channels, channels, 3, groups=channels)
        self.expand = ExemptConvNorm(channels, hidden, relu=True)
        self.reduce = ExemptConvNorm(hidden, hidden, 3, stride=2, groups=hidden, relu=True)
        self.excite = SqueezeExcite(hidden, squeezed)
        self.project = ExemptConvNorm(hidden, out_channels)
        self.conv2 = ExemptConvNorm(out_channels, out_channels, 3, groups=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        x = x + self.conv1(x)
        x = self.project(self.excite(self.reduce(self.expand(x))))
        return x + self.conv2(x)


class Block(nn.Module):
    """Four layers, each blended with its input: x + sigmoid(gate) (layer(x) - x).

    They are a depth-wise convolution, the mixer of normed tokens, another convolution, an MLP.

    Args:
        dim: width of the tokens.
        states: hidden states of the mixer.
        arch: the variant.
    """

    NO_DECAY = ('norm.bias',)

    def __init__(self, dim: int, states: int, arch: Arch):
        super().__init__()
        hidden = int(dim * arch.mlp_ratio)
        self.gates = nn.Parameter(torch.full((4, dim), 1e-4))
        self.conv1 = ExemptConvNorm(dim, dim, 3, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.mixer = HiddenStateMixer(dim, states, ratio=arch.ratio)
        self.conv2 = ExemptConvNorm(dim, dim, 3, groups=dim)
        self.mlp = nn.Sequential(
            ExemptConvNorm(dim, hidden, relu=True), ExemptConvNorm(hidden, dim)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, H, W, dim) to the same shape, and the mixer's states (B, N, dim)."""
        gates = self.gates.sigmoid()
        x = x + gates[0] * (self.conv1(x) - x)
        y, h = self.mixer(self.norm(x))
        x = x + gates[1] * (y - x)
        x = x + gates[2] * (self.conv2(x) - x)
        return x + gates[3] * (self.mlp(x) - x), h


_TRUNK = (
    (r'^patch_embed\.(conv\.)?', 'stem.'),
    (r'(\.blocks\.\d+)\.alpha$', r'\1.gates'),
    (r'(\.blocks\.\d+|\.downsample)\.dwconv([12])\.', r'\1.conv\2.'),
    (r'(\.blocks\.\d+)\.ffn\.fc1\.', r'\1.mlp.0.'),
    (r'(\.blocks\.\d+)\.ffn\.fc2\.', r'\1.mlp.1.'),
    (r'\.mixer\.BCdt_proj\.conv\.', '.mixer.params.'),
    (r'\.mixer\.dw\.conv\.', '.mixer.conv.'),
    (r'\.mixer\.hz_proj\.conv\.', '.mixer.in_proj.'),
    (r'\.mixer\.out_proj\.conv\.', '.mixer.out_proj.'),
    (r'\.downsample\.conv\.0\.', '.downsample.expand.'),
    (r'\.downsample\.conv\.1\.', '.downsample.reduce.'),
    (r'\.downsample\.conv\.2\.', '.downsample.excite.'),
    (r'\.downsample\.conv\.3\.', '.downsample.project.'),
)
# 1x1 convolutions over tokens are (o, i, 1), norms over channels (1, C, 1) and (1, C, 1, 1)
_RESHAPE = (r'\.(params|in_proj|out_proj)\.weight$', r'\.norm\.(weight|bias)$')

AUTHOR_KEYS = KeyMap(
    rename=_TRUNK,
    drop=(r'^norm\.', r'^heads(_dist)?\.', r'^weights(_dist)?$'),
    reshape=_RESHAPE,
    fresh=(r'^out_norms\.',),
    inputs=(r'^stem\.0\.conv\.weight$',),
)
NECK_KEYS = KeyMap(
    rename=(
        (r'^batch_norm\.', 'norms.'),
        (r'^lateral_convs\.(\d+)\.conv\.', r'laterals.\1.'),
        (r'^fpn_convs\.3\.conv\.', 'coarser.0.'),
        (r'^fpn_convs\.(\d+)\.conv\.', r'levels.\1.'),
        (r'^extra_trans_convs\.(\d+)\.conv\.', r'ups.\1.'),
        (r'^extra_fpn_convs\.(\d+)\.conv\.', r'finer.\1.'),
    ),
    reshape=(r'^norms\.',),
)
CLASSIFIER_KEYS = KeyMap(
    rename=(
        *_TRUNK,
        (r'^(stem|stages)\.', r'backbone.\1.'),
        (r'^norm\.', 'head.norms.'),
        (r'^heads\.', 'head.branches.0.heads.'),
        (r'^weights$', 'head.branches.0.weights'),
        (r'^heads_dist\.', 'head.branches.1.heads.'),
        (r'^weights_dist$', 'head.branches.1.weights'),
    ),
    reshape=(*_RESHAPE, r'^head\.norms\.'),
    inputs=(r'^backbone\.stem\.0\.conv\.weight$',),
)


@MODELS.register_module()
class EfficientViM(StagedBackbone):
    """EfficientViM (arXiv 2411.15241) for dense prediction and classification.

    Args:
        arch, in_channels, frozen_stages, with_cp, output_norm, norm_eval, init_cfg: see
            `StagedBackbone`.
        out_indices: stages whose features are returned, each once, in any order.
        drop_path_rate: has no effect, as no branch can be dropped.
        hidden_states: return, after the features, the hidden states (B, N, C) of the last block of
            each of these stages too, for `HiddenStateFusion`.

    >>> import torch
    >>> backbone = EfficientViM('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 96, 4, 6)]
    """

    ARCHS: Mapping[str, Any] = {
        'm1': Arch((128, 192, 320), (2, 2, 2)),
        'm2': Arch((128, 256, 512), (2, 2, 2)),
        'm3': Arch((224, 320, 512), (2, 2, 2)),
        'm4': Arch((224, 320, 512), (3, 4, 2), states=(64, 32, 16)),
        'nano': Arch((32, 64, 96), (1, 2, 1), states=(25, 16, 9), stem_depth=2),
    }

    OUTPUT_NORM = False
    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS
    NECK_KEYS = NECK_KEYS

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2),
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        output_norm: bool | None = None,
        norm_eval: bool = False,
        hidden_states: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            arch,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            output_norm=output_norm,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        self.hidden_states = hidden_states

    def make_stem(self, in_channels: int) -> nn.Module:
        return Stem(in_channels, self.arch.dims[0], self.arch.stem_depth)

    def make_block(self, stage: int, _index: int, _drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch.states[stage], self.arch)

    def make_downsample(self, stage: int) -> nn.Module:
        return Downsample(*self.arch.dims[stage : stage + 2])

    def _init_parameters(self) -> None:
        """Nothing to do: layers start as torch has them, which is the authors' way."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of an image, one for each of `out_indices`, and their hidden states if asked.

        Args:
            x: (B, in_channels, H, W) of any size.

        Returns:
            One (B, out_channels[i], H_i, W_i) per output, contiguous (see `StagedBackbone`), then
            with `hidden_states` one (B, N_i, out_channels[i]) per output.

        Raises:
            ValueError: another number of channels or axes.
        """
        self._check_image(x)
        x = self.stem(x.permute(0, 2, 3, 1))  # (B, H, W, C)
        features, states = {}, {}
        for i, stage in enumerate(self.stages):
            h = None
            for block in stage.blocks:
                x, h = self._run(block, x)
            if i in self.out_indices:
                y = self.out_norms[str(i)](x) if self.out_norms else x
                features[i] = y.permute(0, 3, 1, 2).contiguous()  # (B, C, H, W)
                states[i] = h  # (B, N, C)
            if stage.downsample is not None:
                x = stage.downsample(x)
        outputs = [features[i] for i in self.out_indices]
        if self.hidden_states:
            outputs += [states[i] for i in self.out_indices]
        return tuple(outputs)
