"""xLSTM-UNet's encoder: nnU-Net's residual one, with Vision-LSTM blocks at its end or along it.

Paper: xLSTM-UNet can be an Effective 2D & 3D Medical Image Segmentation Backbone with Vision-LSTM
(ViL) better than its Mamba Counterpart, arXiv 2407.01530. Authors' repository:
tianrun-chen/xLSTM-UNet-PyTorch, Apache-2.0 but for its Vision-LSTM file, AGPL-3.0: written here
from the papers and from measured numbers, without its source.

`bot_*` has one Vision-LSTM block at the deepest map, `enc_*` several along the encoder, of which
those on small maps mix channels instead of places and so tie the network to one size of its input.
The names say whose nnU-Net plan a variant follows. The decoder is in `mamba_dense.medical`. What
differs here: a `bot_*` network takes any size. The released files hold a norm before each
Vision-LSTM block that no code uses; it is kept under the name `unused`, so that files load strictly
and counts agree, and never trained. `nano` and `enc_nano` are ours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from mamba_kernels.dispatch import full_precision

from ..bricks import OffsetLayerNorm, ResidualBlock, init_he, per_axis, residual_blocks
from ..mixers import VisionLSTM
from ..registry import MODELS
from ..weights import KeyMap
from .base import resolve_arch
from .channel_first import ChannelFirstBackbone

Sizes = int | tuple[int, ...]


@dataclass(frozen=True)
class Arch:
    """One variant: a plan of nnU-Net and where the Vision-LSTM blocks stand.

    Attributes:
        dims: width of each stage.
        depths: residual blocks of each stage; the first one changes the grid.
        decoder_depths: the same of the decoder's stages, coarsest first, one fewer.
        strides: of each stage's first block: a number, or one an axis.
        kernels: of each stage: a number, or one an axis.
        spatial_dims: 2 or 3, where nothing else is asked for.
        along: Vision-LSTM blocks along the encoder (Enc), else one at its end (Bot).
        patch_size: of the plan; what an Enc network is tied to. None: it must be given.
        drop_path_rate: the rate it was published with.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    decoder_depths: tuple[int, ...]
    strides: tuple[Sizes, ...]
    kernels: tuple[Sizes, ...]
    spatial_dims: int = 2
    along: bool = False
    patch_size: tuple[int, ...] | None = None
    drop_path_rate: float = 0.0


def plan_2d(stages: int, patch_size: tuple[int, int]) -> Arch:
    """nnU-Net's 2-D plan of so many stages, with the published depths."""
    shallow = math.ceil(stages / 2)
    deep = math.ceil((stages - 1) / 2 + 0.5)
    return Arch(
        dims=tuple(min(32 * 2**i, 512) for i in range(stages)),
        depths=tuple(2 if i < shallow else 1 for i in range(stages)),
        decoder_depths=tuple(2 if i < deep else 1 for i in range(stages - 1)),
        strides=(1,) + (2,) * (stages - 1),
        kernels=(3,) * stages,
        patch_size=patch_size,
    )


_MR_2D = plan_2d(7, (320, 320))
_ENDOSCOPY = plan_2d(7, (384, 640))
_MICROSCOPY = plan_2d(8, (512, 512))
_MR_3D = Arch(
    dims=(32, 64, 128, 256, 320, 320),
    depths=(2, 2, 2, 1, 1, 1),
    decoder_depths=(2, 2, 2, 1, 1),
    strides=(1, (1, 2, 2), 2, 2, 2, (1, 2, 2)),
    kernels=((1, 3, 3), 3, 3, 3, 3, 3),
    spatial_dims=3,
    patch_size=(48, 160, 224),
)
_NANO = Arch((8, 16, 32, 64), (1, 1, 1, 1), (1, 1, 1), (1, 2, 2, 2), (3, 3, 3, 3))


class LSTMBlock(nn.Module):
    """x + mixer(norm(x)) in float32 at least, over places or over channels as tokens.

    Args:
        dim: width of a token: of the map, or the number of its places.
        of_channels: whether each channel is a token, else each place.
        reverse: whether the tokens run from the last to the first.
    """

    def __init__(self, dim: int, *, of_channels: bool = False, reverse: bool = False):
        super().__init__()
        self.of_channels = of_channels
        self.unused = nn.LayerNorm(dim).requires_grad_(False)  # of the released files
        self.norm = OffsetLayerNorm(dim)
        self.mixer = VisionLSTM(dim, reverse=reverse)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to the same shape, in the dtype of the weights."""
        shape = x.shape
        with full_precision(x):
            x = x.to(self.norm.weight.dtype).flatten(2)  # (B, C, L)
            x = x if self.of_channels else x.mT
            x = x + self.mixer(self.norm(x))
            x = x if self.of_channels else x.mT
        return x.reshape(shape)


class Stem(nn.Sequential):
    """Residual blocks at full resolution, in front of the first stage."""

    stride = 1

    def __init__(self, blocks: Sequence[nn.Module], min_size: int):
        super().__init__(*blocks)
        self.min_size = min_size


# inside a block: authors' names to ours
BLOCK_KEYS = (
    (r'^(xlstm|encoder\.xlstm_layers\.\d+)\.norm\.', r'\1.unused.'),
    (r'\.conv([12])\.conv\.', r'.conv\1.'),
    (r'\.conv([12])\.norm\.', r'.norm\1.'),
    (r'\.vil\.', '.'),
    (r'\.layer\.', '.mixer.'),
    (r'\.proj_up\.', '.in_proj.'),
    (r'\.proj_down\.', '.out_proj.'),
    (r'\.conv1d\.conv\.', '.conv.'),
    (r'\.learnable_skip$', '.skip'),
    (r'\.mlstm_cell\.', '.cell.'),
    (r'\.igate\.', '.input_gate.'),
    (r'\.fgate\.', '.forget_gate.'),
    (r'\.outnorm\.', '.out_norm.'),
)
# what a file of the authors' holds a second time
DOUBLES = (r'\.all_modules\.', r'^decoder\.encoder\.')


@MODELS.register_module()
class XLSTMEncoder(ChannelFirstBackbone):
    """xLSTM-UNet's encoder (arXiv 2407.01530).

    Args:
        arch, in_channels, out_indices, frozen_stages, drop_path_rate, with_cp, norm_eval, init_cfg:
            see `ChannelFirstBackbone`.
        spatial_dims: 2 for images, 3 for volumes; None is the variant's.
        patch_size: the one size that a variant with Vision-LSTM blocks along the encoder takes;
            None is the variant's. The others take any size.

    Raises:
        ValueError: a value above is not allowed, or strides and kernels are of other axes than
            `spatial_dims`; the message lists what is.

    >>> import torch
    >>> encoder = XLSTMEncoder('nano', spatial_dims=3, in_channels=1).eval()
    >>> [tuple(y.shape) for y in encoder(torch.zeros(1, 1, 8, 16, 12))]
    [(1, 8, 8, 16, 12), (1, 16, 4, 8, 6), (1, 32, 2, 4, 3), (1, 64, 1, 2, 2)]
    """

    ARCHS: Mapping[str, Any] = {
        'bot_mr_2d': _MR_2D,
        'enc_mr_2d': replace(_MR_2D, along=True),
        'bot_endoscopy': _ENDOSCOPY,
        'enc_endoscopy': replace(_ENDOSCOPY, along=True),
        'bot_microscopy': _MICROSCOPY,
        'enc_microscopy': replace(_MICROSCOPY, along=True),
        'bot_mr_3d': _MR_3D,
        'enc_mr_3d': replace(_MR_3D, along=True),
        'nano': _NANO,
        'enc_nano': replace(_NANO, along=True, patch_size=(64, 64)),
    }
    AUTHOR_KEYS = KeyMap(
        rename=(
            *BLOCK_KEYS,
            (r'^encoder\.stem\.', 'stem.'),
            (r'^encoder\.stages\.(\d+)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'^encoder\.xlstm_layers\.(\d+)\.', r'stages.\1.tail.'),
        ),
        # the rest of the network in the authors' files
        drop=(*DOUBLES, r'^decoder\.'),
        inputs=(r'^stem\.0\.conv[13]\.weight$',),
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        spatial_dims: int | None = None,
        patch_size: Sequence[int] | None = None,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        variant = resolve_arch(type(self).__name__, self.ARCHS, arch)
        axes = variant.spatial_dims if spatial_dims is None else spatial_dims
        patch = variant.patch_size if patch_size is None else patch_size
        # the hooks, called while building, read these
        self.patch_size = None if patch is None else tuple(patch)
        self.stage_strides = tuple(per_axis('strides', s, axes) for s in variant.strides)
        self.kernels = tuple(per_axis('kernels', k, axes) for k in variant.kernels)
        self.maps = self._maps(axes) if variant.along else None
        self.fixed_size = self.patch_size if variant.along else None
        super().__init__(
            variant,
            spatial_dims=axes,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        last = len(variant.dims) - 1
        keys = self.AUTHOR_KEYS
        self.AUTHOR_KEYS = replace(
            keys, rename=(*keys.rename, (r'^xlstm\.', f'stages.{last}.tail.'))
        )
        totals = [self._total(i + 1) for i in self.out_indices]
        self.strides = tuple(t[0] if len(set(t)) == 1 else t for t in totals)

    def _total(self, stages: int) -> tuple[int, ...]:
        """The stride of so many stages together, an axis each."""
        return tuple(math.prod(sides) for sides in zip(*self.stage_strides[:stages], strict=True))

    def _maps(self, axes: int) -> tuple[tuple[int, ...], ...]:
        """The grid of each stage for `patch_size`."""
        total = self._total(len(self.stage_strides))
        patch = self.patch_size
        if patch is None or len(patch) != axes or any(p % t for p, t in zip(patch, total)):
            raise ValueError(
                f'patch_size={patch} must be given for Vision-LSTM blocks along the encoder: '
                f'{axes} sides, multiples of {total}.'
            )
        counts = range(1, len(self.stage_strides) + 1)
        return tuple(
            tuple(p // t for p, t in zip(patch, self._total(i), strict=True)) for i in counts
        )

    def make_stem(self, in_channels: int) -> nn.Module:
        arch, kernel = self.arch, self.kernels[0]
        if len({len(row) for row in (arch.dims, arch.strides, arch.kernels)}) > 1:
            raise ValueError(
                f'arch has dims={arch.dims}, strides={arch.strides} and kernels={arch.kernels}; '
                'give one of each for every stage.'
            )
        blocks = residual_blocks(
            self.spatial_dims, in_channels, arch.dims[0], arch.depths[0], kernel=kernel
        )
        return Stem(blocks, min(self._total(len(self.stage_strides))))

    def make_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        dims = self.arch.dims
        first = index == 0
        return ResidualBlock(
            self.spatial_dims,
            dims[max(stage - 1, 0)] if first else dims[stage],
            dims[stage],
            kernel=self.kernels[stage],
            stride=self.stage_strides[stage] if first else 1,
            project=first,
            drop_path=drop_path,
        )

    def make_downsample(self, _stage: int) -> None:
        """None: a stage's first block changes the grid."""

    def make_tail(self, stage: int) -> nn.Module | None:
        dims = self.arch.dims
        if self.maps is None:
            return LSTMBlock(dims[stage]) if stage == len(dims) - 1 else None
        if self._takes_tokens(stage):
            places = math.prod(self.maps[stage])
            of_channels = places <= dims[stage]
            return LSTMBlock(places if of_channels else dims[stage], of_channels=of_channels)
        if self.spatial_dims == 3 or stage == 1:
            return ResidualBlock(
                self.spatial_dims,
                dims[stage],
                dims[stage],
                kernel=self.kernels[stage],
                project=False,
            )
        return None

    def _takes_tokens(self, stage: int) -> bool:
        """Whether an Enc network has a Vision-LSTM block behind a stage."""
        if self.spatial_dims == 3:
            return stage >= 3
        return stage > 1 and stage % 2 != len(self.arch.dims) % 2

    def _init_parameters(self) -> None:
        """He's start of the convolutions; what mixes tokens has its own."""
        init_he(self)

    def _check_image(self, x: Tensor) -> None:
        super()._check_image(x)
        size = tuple(x.shape[2:])
        if self.fixed_size is not None and size != self.fixed_size:
            raise ValueError(
                f'{type(self).__name__} with Vision-LSTM blocks along the encoder is tied to '
                f'patch_size={self.fixed_size} by its channel tokens, got {size}; take windows of '
                'that size, build it with patch_size=..., or choose a bot_* variant.'
            )
        total = self._total(max(self.out_indices) + 1)
        if all(side <= step for side, step in zip(size, total, strict=True)):
            raise ValueError(
                f'{type(self).__name__} leaves one place of {size}, which no instance norm takes; '
                f'one side at least must be greater than {total}.'
            )
