"""EfficientVMamba: a light four-stage backbone, scanned early and convolved late.

Paper: EfficientVMamba: Atrous Selective Scan for Light Weight Visual Mamba, arXiv 2403.09977.
Authors' repository: TerryPei/EfficientVMamba; its licence is not noted here.

The first two stages are blocks of a selective scan over quarters of the map (ES2D) beside a
convolution, both passed through one channel gate; the last two are inverted residuals.

Kept, because the weights depend on it: one gate for both branches, whose norm shapes the gate
alone; 16 states and a rank of ceil(C / 16), whatever the authors' configs say. Their repository
names widths and depths that do not fit the released weights; the variants here are those of the
weights, of their logs and of the paper. What differs: the scans read the tokens through the routes
instead of copying quarters of the map. `nano` is ours, for small data and tests; it has no
published result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..bricks import DropPath, InvertedResidual, PatchEmbed, PatchMerging
from ..mixers import ES2D
from ..registry import MODELS
from ..weights import SCAN_NAMES, staged_key_maps
from .base import StagedBackbone

SCANNING = 2  # stages of scans; the others convolve
MOST_BLOCKS = 32  # of a convolving stage in a file of the authors


@dataclass(frozen=True)
class Arch:
    """One variant.

    Attributes:
        dims: width of each stage.
        depths: blocks of each stage.
        drop_path_rate: the rate it was published with.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    drop_path_rate: float = 0.1


class ChannelGate(nn.Module):
    """Scale each channel by a gate made of the means of the normed map.

    Args:
        channels: width of the tokens.
    """

    NO_DECAY = ('norm',)

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(int(channels * 0.125), 1)
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape; x itself is not normed."""
        gate = self.norm(x).mean(dim=(1, 2), keepdim=True)  # (B, 1, 1, C)
        return x * self.fc2(self.act(self.fc1(gate))).sigmoid()


class LocalBranch(nn.Module):
    """Depth-wise 3x3 convolution, BatchNorm, GELU, 1x1 convolution.

    Args:
        channels: width of the tokens.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.GELU()
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        x = x.permute(0, 3, 1, 2)  # (B, C, H, W), channels_last
        x = self.proj(self.act(self.norm(self.conv(x))))
        return x.permute(0, 2, 3, 1)  # (B, H, W, C)


class Block(nn.Module):
    """x + gate(mixer(norm(x))) + gate(local(norm(x))), with one norm and one gate.

    Args:
        dim: width of the tokens.
        drop_path: rate of both branches together.
    """

    NO_DECAY = ('norm',)

    def __init__(self, dim: int, drop_path: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mixer = ES2D(dim)
        self.local = LocalBranch(dim)
        self.gate = ChannelGate(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, dim) to the same shape."""
        u = self.norm(x)
        return x + self.drop_path(self.gate(self.mixer(u)) + self.gate(self.local(u)))


# a convolving stage of the authors is one flat list: a permute, the blocks, a permute, the merging
_CONVOLVING = (
    *((rf'^layers\.(\d+)\.{n}\.(?=conv_|se\.|$)', rf'stages.\1.blocks.{n - 1}.')
      for n in range(1, MOST_BLOCKS + 1)),
    (r'^layers\.(\d+)\.\d+\.(reduction|norm)\.', r'stages.\1.downsample.\2.'),
    (r'\.conv_pw\.0\.', '.expand.conv.'),
    (r'\.conv_pw\.1\.', '.expand.norm.'),
    (r'\.conv_dw\.0\.', '.depthwise.conv.'),
    (r'\.conv_dw\.1\.', '.depthwise.norm.'),
    (r'\.conv_pw2\.0\.', '.project.conv.'),
    (r'\.conv_pw2\.1\.', '.project.norm.'),
    (r'\.se\.conv_reduce\.', '.excite.fc1.'),
    (r'\.se\.conv_expand\.', '.excite.fc2.'),
)  # fmt: skip
# older files call some parts by other names: both are read
_TRUNK = (
    (r'^patch_embed\.(0|proj)\.', 'stem.conv.'),
    (r'^patch_embed\.(2|norm)\.', 'stem.norm.'),
    (r'^layers\.(\d+)\.(blocks|downsample)\.', r'stages.\1.\2.'),
    *_CONVOLVING,
    (r'(\.blocks\.\d+)\.(norm|ln_1)\.', r'\1.norm.'),
    (r'(\.blocks\.\d+)\.(op|self_attention)\.', r'\1.mixer.'),
    *SCAN_NAMES,
    (r'\.conv_branch\.0\.', '.local.conv.'),
    (r'\.conv_branch\.1\.', '.local.norm.'),
    (r'\.conv_branch\.3\.', '.local.proj.'),
    (r'\.se\.norm\.', '.gate.norm.'),
    (r'\.se\.global_reduce\.', '.gate.fc1.'),
    (r'\.se\.channel_select\.', '.gate.fc2.'),
)
# released files hold the averaged weights of a wrapped model; A and D stack the routes
AUTHOR_KEYS, CLASSIFIER_KEYS = staged_key_maps(
    _TRUNK, reshape=(r'\.mixer\.(A_log|D)$',), wrapper=r'(module\.)*'
)


@MODELS.register_module()
class EfficientVMamba(StagedBackbone):
    """EfficientVMamba (arXiv 2403.09977) for dense prediction. Arguments: see `StagedBackbone`.

    >>> import torch
    >>> backbone = EfficientVMamba('nano').eval()
    >>> [tuple(y.shape) for y in backbone(torch.zeros(1, 3, 64, 96))]
    [(1, 24, 16, 24), (1, 48, 8, 12), (1, 96, 4, 6), (1, 192, 2, 3)]
    """

    ARCHS: Mapping[str, Any] = {
        'tiny': Arch((48, 96, 192, 384), (2, 2, 4, 2)),
        'small': Arch((64, 128, 256, 512), (2, 2, 4, 2)),
        'base': Arch((96, 192, 384, 768), (2, 2, 9, 2)),
        'nano': Arch((24, 48, 96, 192), (1, 1, 2, 1), 0.05),
    }

    AUTHOR_KEYS = AUTHOR_KEYS
    CLASSIFIER_KEYS = CLASSIFIER_KEYS

    def make_stem(self, in_channels: int) -> nn.Module:
        return PatchEmbed(in_channels, self.arch.dims[0])

    def make_block(self, stage: int, _index: int, drop_path: float) -> nn.Module:
        dim = self.arch.dims[stage]
        if stage < SCANNING:
            return Block(dim, drop_path)
        return InvertedResidual(dim, drop_path=drop_path)

    def make_downsample(self, stage: int) -> nn.Module:
        return PatchMerging(*self.arch.dims[stage : stage + 2])
