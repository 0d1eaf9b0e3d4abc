"""MobileMamba's mixer (arXiv 2411.15941, section 3.2): three ways to mix, each on some channels.

The first channels pass a bidirectional selective scan enhanced by a wavelet branch, the next ones a
large depth-wise convolution, the rest nothing; a 1x1 convolution joins them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d, ConvNorm, Haar
from .ss2d import SS2D

SCAN_MULTIPLE = 16  # the scan's width is a multiple of it


class NormedSS2D(SS2D):
    """A gated SS2D whose two projections end in BatchNorm, as MobileMamba has it.

    Two routes, raster and reversed, and one state. The scans start with A = -1 and step sizes
    softplus(0.1 u + ...) of small uniform weights and biases.

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
    """

    def __init__(self, channels: int, *, ratio: float = 2.0):
        super().__init__(
            channels, ratio=ratio, state=1, conv_bias=True, gated=True, routes='bidirectional'
        )
        self.in_proj = ConvNorm(channels, 2 * self.dim)
        self.out_proj = ConvNorm(self.dim, channels)
        nn.init.zeros_(self.A_log)
        nn.init.uniform_(self.dt_proj_weight, 0.0, 0.1)
        nn.init.uniform_(self.dt_proj_bias, 0.0, 0.1)


class WaveletScan(nn.Module):
    """A scan of the map, plus a convolution of its Haar bands brought back to the map.

    Args:
        channels: width C of the map.
        kernel: side of the bands' depth-wise convolution.
        ratio: inner width of the scan over C.
    """

    def __init__(self, channels: int, *, kernel: int, ratio: float = 2.0):
        super().__init__()
        bands = 4 * channels
        self.ss2d = NormedSS2D(channels, ratio=ratio)
        self.ss2d_scale = nn.Parameter(torch.ones(channels))
        self.wavelet = Haar(channels)
        self.band_conv = ChannelLastConv2d(
            bands, bands, kernel, padding=kernel // 2, groups=bands, bias=False
        )
        self.band_scale = nn.Parameter(torch.full((bands,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        bands = self.band_conv(self.wavelet.split(x)) * self.band_scale  # (B, H2, W2, 4C)
        y = self.wavelet.merge(bands, tuple(x.shape[1:3]))
        return self.ss2d_scale * self.ss2d(x) + y


def split_channels(channels: int, scan_ratio: float, local_ratio: float) -> tuple[int, int, int]:
    """Channels that are scanned, convolved and left alone.

    The scan takes the multiple of 16 that is nearest to its share, the larger one at a tie; the
    convolution takes its share of the whole, or what is left of it.

    Raises:
        ValueError: the scan would have no channel, or more than there are.
    """
    share = int(scan_ratio * channels)
    scan = (share + SCAN_MULTIPLE // 2) // SCAN_MULTIPLE * SCAN_MULTIPLE
    if not 0 < scan <= channels:
        raise ValueError(
            f'scan_ratio={scan_ratio} of {channels} channels rounds to {scan}; it must leave from '
            f'{SCAN_MULTIPLE} to {channels} channels, a multiple of {SCAN_MULTIPLE}.'
        )
    local = min(int(local_ratio * channels), channels - scan)
    return scan, local, channels - scan - local


class MultiReceptiveMixer(nn.Module):
    """Wavelet scan, depth-wise convolution and identity side by side; ReLU and projection.

    The ReLU before the projection acts on the channels left alone too.

    Args:
        channels: width C of the tokens.
        scan_ratio: share of the channels that are scanned.
        local_ratio: share of the channels that are convolved.
        kernel: side of the depth-wise convolutions, of the map's and of its bands'; odd.
        ratio: inner width of the scan over the width scanned.

    Raises:
        ValueError: an even kernel, or the scan gets no channels or more than there are.
    """

    def __init__(
        self,
        channels: int,
        *,
        scan_ratio: float,
        local_ratio: float,
        kernel: int,
        ratio: float = 2.0,
    ):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f'kernel={kernel} must be odd, so that the grid keeps its size.')
        self.widths = split_channels(channels, scan_ratio, local_ratio)
        scan, local, _ = self.widths
        self.scan = WaveletScan(scan, kernel=kernel, ratio=ratio)
        self.local1 = ConvNorm(local, local, kernel, groups=local) if local else None
        self.local2 = ConvNorm(local, local, groups=local) if local else None
        self.out_proj = ConvNorm(channels, channels, start=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, H, W, C); same shape."""
        scanned, local, rest = x.split(self.widths, dim=-1)
        scanned = self.scan(scanned.contiguous())
        if self.local1 is not None:
            local = self.local2(F.relu(self.local1(local)))
        y = torch.cat([scanned, local, rest], dim=-1)  # (B, H, W, C)
        return self.out_proj(F.relu(y))
