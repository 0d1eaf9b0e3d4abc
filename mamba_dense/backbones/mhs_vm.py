"""MHS-VM: VMamba's first generation with a multi-head scan in place of the 2-D selective scan.

Paper: MHS-VM: Multi-Head Scanning in Parallel Subspaces for Vision Mamba, arXiv 2406.05992.
Authors' repository: PixDeep/MHS-VM, Apache-2.0.

The encoder of MHS-UNet; the authors publish no network of it alone. What differs here: the routes
are computed for the size that comes, where theirs are read from a file made for one size. `nano`
is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..bricks import DropPath, PatchEmbed, PatchMerging
from ..mixers import MultiHeadMixer
from ..registry import MODELS
from ..weights import KeyMap
from .base import StagedBackbone


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        heads: 3 or 4.
        threshold: of the heads' fusion.
        project: norm and projection after the heads.
        state: state size of the scans.
        gated: whether the mixers are gated.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.2
    heads: int = 4
    threshold: float = 0.0
    project: bool = True
    state: int = 16
    gated: bool = True


class Block(nn.Module):
    """x + mixer(norm(x)).

    Args:
        dim: width of the tokens.
        arch: the variant.
        drop_path: rate of the branch.
    """

    NO_DECAY = ('norm1',)

    def __init__(self, dim: int, arch: Arch, drop_path: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mixer = MultiHeadMixer(
            dim,
            heads=arch.heads,
            state=arch.state,
            threshold=arch.threshold,
            project=arch.project,
            gated=arch.gated,
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        return x + self.drop_path(self.mixer(self.norm1(x)))


# names inside a block; a file of the authors' holds every scan under two names
BLOCK_NAMES = (
    (r'\.ln_1\.', '.norm1.'),
    (r'\.self_attention\.', '.mixer.'),
    (r'\.mixer\.conv2d\.', '.mixer.conv.'),
    (r'\.mixer\.mhs\.', '.mixer.scan.'),
    (r'\.scan\.x_ssproj\.', '.scan.project.'),
    (r'\.scanhead_C\.', '.heads.0.'),
    (r'\.scanhead_X\.', '.heads.1.'),
    (r'\.scanhead_S\.', '.heads.2.'),
    (r'\.scanhead_Z\.', '.heads.3.'),
    (r'\.mambaeng\.', '.'),
    (r'\.scan\.cat_norm\.', '.scan.norm.'),
    (r'\.scan\.y_proj\.', '.scan.out_proj.'),
    (r'\.dt_projs_(weight|bias)$', r'.dt_proj_\1'),
    (r'\.A_logs$', '.A_log'),
    (r'\.Ds$', '.D'),
)
DOUBLES = (r'\.x_ssproj_W$', r'\.scanning\.seq2seq_engine\.', r'total_(ops|params)$')
RESHAPE = (r'\.(A_log|D)$',)
_FOUR = Arch((96, 192, 384, 768), (2, 2, 2, 2))


@MODELS.register_module()
class MHSVM(StagedBackbone):
    """MHS-VM's encoder (arXiv 2406.05992) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = MHSVM('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'four_heads': _FOUR,
        'three_heads': replace(_FOUR, heads=3),
        'nano': Arch((32, 64, 128, 256), (1, 1, 2, 1), 0.05),
    }
    AUTHOR_KEYS = KeyMap(
        rename=(
            (r'^vmunet\.', ''),
            (r'^patch_embed\.proj\.', 'stem.conv.'),
            (r'^patch_embed\.norm\.', 'stem.norm.'),
            (r'^layers\.', 'stages.'),
            *BLOCK_NAMES,
        ),
        # the rest of the network in the authors' files
        drop=(*DOUBLES, r'^vmunet\.(layers_up|final_up|final_conv)\.'),
        reshape=RESHAPE,
        fresh=(r'^out_norms\.',),
        inputs=(r'^stem\.conv\.weight$',),
    )

    def make_stem(self, in_channels: int) -> nn.Module:
        return PatchEmbed(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        return PatchMerging(*self.arch.dims[stage : stage + 2])
