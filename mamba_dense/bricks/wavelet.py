"""One level of the Haar wavelet transform (db1), as convolutions with frozen filters."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def haar_filters(channels: int) -> Tensor:
    """The four filters, rows first, once for each channel: (4 * channels, 1, 2, 2).

    Band 0 is the mean, 1 the difference of the rows, 2 that of the columns, 3 both. They are
    orthonormal, so the same filters take apart and put together.
    """
    low, high = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
    pairs = ((low, low), (high, low), (low, high), (high, high))
    bands = torch.stack([torch.outer(row, column) / 2 for row, column in pairs])
    return bands.unsqueeze(1).repeat(channels, 1, 1, 1)


class Haar(nn.Module):
    """Haar transform of every channel, and its inverse.

    Both sets of filters are parameters that are never trained: the published weight files hold
    them and the published parameter counts include them.

    Args:
        channels: width C of the map.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.analysis = nn.Parameter(haar_filters(channels), requires_grad=False)
        self.synthesis = nn.Parameter(haar_filters(channels), requires_grad=False)

    def split(self, x: Tensor) -> Tensor:
        """Bands of x (B, H, W, C), zero-padded to even sides: (B, ceil(H / 2), ceil(W / 2), 4C).

        Band s of channel c is channel 4 c + s.
        """
        H, W = x.shape[1:3]
        x = F.pad(x.permute(0, 3, 1, 2), (0, W % 2, 0, H % 2))  # (B, C, even H, even W)
        bands = F.conv2d(x, self.analysis, stride=2, groups=self.channels)
        return bands.permute(0, 2, 3, 1).contiguous()

    def merge(self, bands: Tensor, size: tuple[int, int]) -> Tensor:
        """The map (B, H, W, C) of these bands, cropped to `size` (H, W)."""
        H, W = size
        x = F.conv_transpose2d(
            bands.permute(0, 3, 1, 2), self.synthesis, stride=2, groups=self.channels
        )  # (B, C, even H, even W)
        return x[:, :, :H, :W].permute(0, 2, 3, 1)
