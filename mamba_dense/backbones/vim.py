"""Vim: a plain backbone of bidirectional Mamba blocks.

Paper: Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space Model,
arXiv 2401.09417 (ICML 2024). Authors' repository: hustvl/Vim, Apache-2.0.

Patches of 16 pixels, a learned table of positions, a class token in the middle of the sequence and
24 blocks, each an RMSNorm and a mixer. What a block returns is not yet added to the residual: the
pair (hidden, residual) is carried on, and features are taken of either. Dense networks have no
class token; the published ones of small size and for detection turn the tokens by rotary positions
before every block. `*_stride8` are fine-tuned with patches that overlap by half.

What differs here: images of any size (the authors' networks take the size they were built for), the
scans read the tokens along routes instead of turning the sequence round, the residual is kept in
float32 at least, and the class token's row of a table is found where it is, in the middle, when a
classifier's file starts a dense network (the authors take the first row for it). `nano` is ours,
for small data and tests; it has no published result.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..bricks import DropPath, RMSNorm, rotary_tables, rotate
from ..mixers import BidirectionalMixer
from ..registry import MODELS
from ..weights import KeyMap
from .base import resolve_arch
from .isotropic import IsotropicBackbone

FEATURES = ('residual', 'hidden', 'class_token')


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dim: width of the tokens.
        depth: number of blocks.
        drop_path_rate: the rate it was published with.
        patch: side of a patch in pixels.
        stride: pixels from a patch to the next.
        ratio: inner width of a mixer over its width.
        state: state size of the scans.
        mean: whether a mixer's two branches are averaged or added.
        layer_scale: where the factors after each mixer start; None is without.
    """

    dim: int
    depth: int = 24
    drop_path_rate: float = 0.0
    patch: int = 16
    stride: int = 16
    ratio: float = 2.0
    state: int = 16
    mean: bool = True
    layer_scale: float | None = None


_TINY = Arch(192)
_SMALL = Arch(384, drop_path_rate=0.05)


class Block(nn.Module):
    """residual + hidden, normed and mixed: returns the mixer's result and that sum.

    Args:
        arch: the variant.
        drop_path: rate at which the incoming hidden tokens are left out of the sum.
    """

    NO_DECAY = ('norm',)

    def __init__(self, arch: Arch, drop_path: float = 0.0):
        super().__init__()
        self.drop_path = DropPath(drop_path)
        self.norm = RMSNorm(arch.dim)
        self.mixer = BidirectionalMixer(
            arch.dim,
            ratio=arch.ratio,
            state=arch.state,
            mean=arch.mean,
            layer_scale=arch.layer_scale,
        )

    def forward(
        self,
        hidden: Tensor,
        residual: Tensor | None = None,
        cos: Tensor | None = None,
        sin: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """hidden, residual (B, L, C), tables of rotary positions (L, C / 2) to the same pair."""
        residual = merge(self.drop_path, hidden, residual, cos, sin)
        return self.mixer(self.norm(residual)), residual


def merge(
    drop_path: nn.Module,
    hidden: Tensor,
    residual: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
) -> Tensor:
    """The sum of the pair, each turned by its positions first; in float32 at least."""
    if cos is not None:
        hidden = rotate(hidden, cos, sin)
        residual = None if residual is None else rotate(residual, cos, sin)
    if residual is None:
        return hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    return residual + drop_path(hidden)


_TRUNK = (
    (r'^patch_embed\.proj\.', 'stem.conv.'),
    (r'^(cls_token|pos_embed)$', r'stem.\1'),
    (r'^layers\.', 'blocks.'),
    (r'\.mixer\.conv1d\.', '.mixer.ahead.conv.'),
    (r'\.mixer\.conv1d_b\.', '.mixer.back.conv.'),
    (r'\.mixer\.(x_proj|dt_proj)\.(weight|bias)$', r'.mixer.ahead.\1_\2'),
    (r'\.mixer\.(x_proj|dt_proj)_b\.(weight|bias)$', r'.mixer.back.\1_\2'),
    (r'\.mixer\.(A_log|D)$', r'.mixer.ahead.\1'),
    (r'\.mixer\.A_b_log$', '.mixer.back.A_log'),
    (r'\.mixer\.D_b$', '.mixer.back.D'),
    (r'^norm_f\.', 'norm.'),
)
# the authors' table has a row for the class token, which is a tensor of its own here
_TABLES = {
    'copy': ((r'(^|\.)stem\.pos_embed$', r'\1stem.cls_pos_embed'),),
    'inputs': (r'(^|\.)stem\.conv\.weight$',),
    'tables': (r'(^|\.)stem\.pos_embed$', r'(^|\.)stem\.cls_pos_embed$'),
}
_ROTARY = r'^(net\.)?rope\.freqs_(cos|sin)$'

AUTHOR_KEYS = KeyMap(
    rename=(*_TRUNK, (r'^fpn1\.', 'pyramid.0.'), (r'^fpn2\.', 'pyramid.1.')),
    drop=(r'^head\.', _ROTARY),
    fresh=(r'^pyramid\.',),
    **_TABLES,
)
CLASSIFIER_KEYS = KeyMap(
    rename=(
        *_TRUNK,
        (r'^(stem|blocks|norm)\.', r'backbone.\1.'),
        (r'^head\.(?=(weight|bias)$)', 'head.fc.'),
    ),
    drop=(_ROTARY,),
    **_TABLES,
)
# detectors: the backbone is `net`, the levels of the neck number their layers through
DETECTOR_KEYS = KeyMap(
    rename=(
        (r'^net\.', ''),
        *_TRUNK,
        (r'^(stem|blocks|norm)\.', r'backbone.\1.'),
        (r'^simfp_2\.([013])\.', r'neck.levels.0.resample.\1.'),
        (r'^simfp_2\.4\.', 'neck.levels.0.conv1.'),
        (r'^simfp_2\.5\.', 'neck.levels.0.conv2.'),
        (r'^simfp_3\.0\.', 'neck.levels.1.resample.0.'),
        (r'^simfp_4\.0\.', 'neck.levels.2.conv1.'),
        (r'^simfp_4\.1\.', 'neck.levels.2.conv2.'),
        (r'^simfp_3\.1\.', 'neck.levels.1.conv1.'),
        (r'^simfp_3\.2\.', 'neck.levels.1.conv2.'),
        (r'^simfp_5\.1\.', 'neck.levels.3.conv1.'),
        (r'^simfp_5\.2\.', 'neck.levels.3.conv2.'),
        (r'\.conv([12])\.norm\.', r'.norm\1.'),
    ),
    drop=(_ROTARY,),
    **_TABLES,
)


@MODELS.register_module()
class Vim(IsotropicBackbone):
    """Vim (arXiv 2401.09417) for dense prediction and classification.

    Args:
        feature: what is taken after a block. 'residual': the sum of everything so far, the block
            included; 'hidden': what the block alone adds to it; 'class_token': the class token
            after the last block, normed, as one (B, C, 1, 1) without a stride, for a classifier.
        rotary: whether hidden and residual tokens are turned by rotary positions before every
            block.
        class_token: whether a class token runs along in the middle of the patches; maps leave it
            out. None is only where it is the feature.

    Further arguments: see `IsotropicBackbone`.

    Raises:
        ValueError: a value above is not allowed, or the two tokens that only go with or without
            one another; the message lists what is.

    >>> import torch
    >>> backbone = Vim('nano', pyramid=True).eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 64, 16, 24), (1, 64, 8, 12), (1, 64, 4, 6), (1, 64, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'tiny': _TINY,
        'small': _SMALL,
        'base': Arch(768),
        'tiny_stride8': replace(_TINY, stride=8),
        'small_stride8': replace(_SMALL, drop_path_rate=0.0, stride=8),
        'nano': Arch(64, depth=8, drop_path_rate=0.05, patch=8, stride=8, state=8),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS
    DETECTOR_KEYS = DETECTOR_KEYS
    NO_DECAY = ('norm',)

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        in_channels: int = 3,
        img_size: int | Sequence[int] = 224,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        feature: str = 'residual',
        rotary: bool = False,
        class_token: bool | None = None,
        pyramid: bool = False,
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        classifies = feature == 'class_token'
        if class_token is None:
            class_token = classifies
        self._check_feature(feature, rotary, class_token, pyramid, out_indices)
        arch = resolve_arch(type(self).__name__, self.ARCHS, arch)
        super().__init__(
            arch,
            in_channels=in_channels,
            img_size=img_size,
            out_indices=(arch.depth - 1,) if classifies else out_indices,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            class_token=class_token,
            pyramid=pyramid,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        self.feature = feature
        self.rotary = rotary
        self.drop_path = DropPath(self.drop_path_rate)
        self.norm = RMSNorm(arch.dim) if classifies else None
        if classifies:
            self.strides = ()
        else:
            fresh = (*self.AUTHOR_KEYS.fresh, r'^norm\.')
            self.AUTHOR_KEYS = replace(self.AUTHOR_KEYS, fresh=fresh)

    @staticmethod
    def _check_feature(
        feature: str,
        rotary: bool,
        class_token: bool,
        pyramid: bool,
        out_indices: Sequence[int] | None,
    ) -> None:
        if feature not in FEATURES:
            raise ValueError(f'feature={feature!r} must be one of {", ".join(FEATURES)}.')
        if feature == 'class_token' and (not class_token or pyramid or out_indices is not None):
            raise ValueError(
                "feature='class_token' needs the class token and gives no map: leave class_token, "
                'pyramid and out_indices as they are by default.'
            )
        if rotary and class_token:
            raise ValueError(
                'rotary=True turns the tokens of a grid, on which the class token has no place; '
                'give class_token=False, or rotary=False.'
            )

    def make_block(self, drop_path: float) -> nn.Module:
        block = Block(self.arch, drop_path)
        with torch.no_grad():
            block.mixer.out_proj.weight.div_(math.sqrt(self.arch.depth))
        return block

    def rates(self) -> list[float]:
        """As the authors': each block drops what the one before it has returned."""
        return [0.0, *super().rates()[:-1]]

    def run_blocks(self, x: Tensor) -> dict[int, Tensor]:
        B, H, W, C = x.shape
        middle = H * W // 2
        hidden = x.flatten(1, 2)  # (B, L, C)
        if self.stem.cls_token is not None:
            token = (self.stem.cls_token + self.stem.cls_pos_embed).expand(B, -1, -1)
            hidden = torch.cat([hidden[:, :middle], token, hidden[:, middle:]], dim=1)
        cos, sin = self._turns((H, W), hidden)
        residual = None
        features = {}
        for i, block in enumerate(self.blocks):
            hidden, residual = self._run(block, hidden, residual, cos, sin)
            if self.feature == 'hidden':
                features[i] = hidden
            elif i:
                features[i - 1] = residual  # the block has added up what came before it
        last = len(self.blocks) - 1
        if self.feature == 'class_token':
            token = self.norm(residual + self.drop_path(hidden))[:, middle]
            return {last: token.view(B, 1, 1, C)}
        if self.feature == 'residual':
            # there is no next block after the network's last one to turn the tokens
            turns = (None, None) if last == self.arch.depth - 1 else (cos, sin)
            features[last] = merge(nn.Identity(), hidden, residual, *turns)
        return {i: self._map(features[i], (B, H, W, C)) for i in self.out_indices}

    def _turns(self, grid: tuple[int, int], x: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
        if not self.rotary:
            return None, None
        dtype = torch.promote_types(x.dtype, torch.float32)
        return rotary_tables(grid, x.shape[-1], dtype=dtype, device=x.device)

    def _map(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Tokens (B, L, C) as the map (B, H, W, C), without the class token."""
        if self.stem.cls_token is not None:
            middle = (x.shape[1] - 1) // 2
            x = torch.cat([x[:, :middle], x[:, middle + 1 :]], dim=1)
        return x.view(shape)
