"""Norms that torch has in another shape or another precision."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Root mean square norm over the last axis, in float32 at least; result in the weight's dtype.

    Args:
        channels: width of the tokens.
        eps: added to the mean square.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *spatial, C) to the same shape."""
        weight = self.weight
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.rms_norm(x, weight.shape, weight.to(x.dtype), self.eps).to(weight.dtype)


class ChannelFirstLayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` over the channels of (B, C, H, W) maps, as ViTDet's necks have it."""

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to the same shape, in torch's channels_last format."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelFirstGroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` over contiguous maps.

    The backward pass of torch's (2.13, CPU) ends the process where a channels_last map itself wants
    no gradient but the norm's weights do, as behind a frozen stage.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) to the same shape, contiguous."""
        return super().forward(x.contiguous())


class OffsetLayerNorm(nn.Module):
    """Layer norm over the last axis without bias, whose weight is stored as what it adds to 1.

    Args:
        channels: width of the tokens.
        eps: added to the variance.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *spatial, C) to the same shape."""
        return F.layer_norm(x, self.weight.shape, 1 + self.weight, eps=self.eps)
