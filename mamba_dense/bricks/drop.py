"""Stochastic depth (Huang et al., arXiv 1603.09382)."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch for whole samples while training, and rescale the ones that stay.

    Args:
        rate: probability of dropping a sample's branch, in [0, 1).

    Raises:
        ValueError: `rate` lies outside [0, 1).
    """

    def __init__(self, rate: float = 0.0):
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f'drop path rate={rate} must lie in [0, 1).')
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x (B, ...) with the samples that were drawn set to zero."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        mask = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep)

    def extra_repr(self) -> str:
        return f'rate={self.rate}'
