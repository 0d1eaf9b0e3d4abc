"""LightM-UNet's encoder: residual blocks of Mamba layers over the image or volume as one sequence.

Paper: LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation, arXiv
2403.05246. Authors' repository: MrBlankness/LightM-UNet, Apache-2.0.

`base` is the released network, 5.0 M parameters with its decoder; the paper's 1.09 M (2-D) and
1.87 M (3-D) do not follow from the released code. The authors publish no encoder alone; the
decoder is in `mamba_dense.medical`. What differs here: any size is served, where theirs takes
sides that 8 divides (the pooling of an odd side keeps its last row). `nano` is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import MAX_POOL, ChannelFirstGroupNorm, DropPath, SeparableConv
from ..mixers import CausalMixer
from ..registry import MODELS
from ..weights import KeyMap
from .channel_first import ChannelFirstBackbone

GROUPS = 8  # of every group norm


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage, multiples of 8.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
        state: state size of the scans.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.0
    state: int = 16


class MambaLayer(nn.Module):
    """Residual vision Mamba layer: proj(norm(mixer(norm(x)) + skip_scale x)), one norm twice.

    Args:
        in_channels: width before, that of the mixer.
        channels: width after.
        state: state size of the scan.
    """

    NO_DECAY = ('norm', 'skip_scale')

    def __init__(self, in_channels: int, channels: int, state: int = 16):
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.mixer = CausalMixer(in_channels, state=state)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to (B, channels, *spatial)."""
        x = x.movedim(1, -1)  # (B, *spatial, C)
        y = self.mixer(self.norm(x)) + self.skip_scale * x
        return self.proj(self.norm(y)).movedim(-1, 1)  # (B, channels, *spatial)


class Block(nn.Module):
    """x + layer2(relu(norm2(layer1(relu(norm1(x)))))).

    Args:
        dim: width of the maps.
        state: state size of the scans.
        drop_path: rate of the branch.
    """

    NO_DECAY = ('norm1', 'norm2')

    def __init__(self, dim: int, state: int = 16, drop_path: float = 0.0):
        super().__init__()
        self.norm1 = ChannelFirstGroupNorm(GROUPS, dim)
        self.layer1 = MambaLayer(dim, dim, state)
        self.norm2 = ChannelFirstGroupNorm(GROUPS, dim)
        self.layer2 = MambaLayer(dim, dim, state)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to the same shape."""
        y = self.layer1(F.relu(self.norm1(x)))
        y = self.layer2(F.relu(self.norm2(y)))
        return x + self.drop_path(y)


class MambaDownsample(nn.Module):
    """A Mamba layer at the finer resolution, then the maxima of 2x2 (or 2x2x2).

    Args:
        spatial_dims: 2 or 3.
        in_channels: width before.
        channels: width after.
        state: state size of the scan.
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: int, state: int = 16):
        super().__init__()
        self.layer = MambaLayer(in_channels, channels, state)
        self.pool = MAX_POOL[spatial_dims](2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to (B, channels, *(ceil(side / 2)))."""
        return self.pool(self.layer(x))


class Stem(SeparableConv):
    """The separable convolution that an image or volume passes first, at full resolution."""

    stride = 1
    min_size = 2  # a group norm takes no single value


# inside a Mamba layer: authors' names to ours
LAYER_NAMES = (
    (r'\.mamba\.', '.mixer.'),
    (r'\.mixer\.conv1d\.', '.mixer.branch.conv.'),
    (r'\.mixer\.(x_proj|dt_proj)\.(weight|bias)$', r'.mixer.branch.\1_\2'),
    (r'\.mixer\.(A_log|D)$', r'.mixer.branch.\1'),
)
MOST_BLOCKS = 16  # of a stage in a file
_BLOCKS = tuple(
    (rf'^down_layers\.(\d+)\.{j + 1}\.', rf'stages.\1.blocks.{j}.') for j in range(MOST_BLOCKS)
)
_DOWNSAMPLES = (
    *((rf'^down_layers\.{i + 1}\.0\.', f'stages.{i}.downsample.') for i in range(3)),
    (r'\.downsample\.0\.', '.downsample.layer.'),
)


@MODELS.register_module()
class LightMEncoder(ChannelFirstBackbone):
    """LightM-UNet's encoder (arXiv 2403.05246). Arguments: see `ChannelFirstBackbone`.

    >>> import torch
    >>> encoder = LightMEncoder('nano', spatial_dims=3, in_channels=1).eval()
    >>> [tuple(y.shape) for y in encoder(torch.zeros(1, 1, 8, 16, 12))]
    [(1, 8, 8, 16, 12), (1, 16, 4, 8, 6), (1, 32, 2, 4, 3), (1, 64, 1, 2, 2)]
    """

    ARCHS: Mapping[str, Any] = {
        'base': Arch((32, 64, 128, 256), (1, 2, 2, 4)),
        'nano': Arch((8, 16, 32, 64), (1, 1, 1, 1), state=4),
    }
    AUTHOR_KEYS = KeyMap(
        rename=(
            (r'^convInit\.0\.conv\.', 'stem.depthwise.'),
            (r'^convInit\.1\.conv\.', 'stem.pointwise.'),
            *_DOWNSAMPLES,
            *_BLOCKS,
            (r'\.conv([12])\.', r'.layer\1.'),
            *LAYER_NAMES,
        ),
        # the rest of the network in the authors' files
        drop=(r'^(up_samples|up_layers|conv_final)\.',),
    )

    def make_stem(self, in_channels: int) -> nn.Module:
        dims = self.arch.dims
        if any(dim % GROUPS for dim in dims):
            raise ValueError(f'arch has dims={dims}; each must be a multiple of {GROUPS}.')
        return Stem(self.spatial_dims, in_channels, dims[0], 3)

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        return Block(self.arch.dims[stage], self.arch.state, drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        dims = self.arch.dims
        return MambaDownsample(self.spatial_dims, *dims[stage : stage + 2], self.arch.state)
