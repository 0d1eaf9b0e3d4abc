"""Squeeze-and-excitation without biases (Hu et al., arXiv 1709.01507)."""

from torch import Tensor, nn
from torch.nn import functional as F


class ChannelGate(nn.Module):
    """Scale each channel by a sigmoid of two layers over the means of all channels.

    Args:
        channels: width C at the door.
        reduction: C over the width between the two layers.

    Raises:
        ValueError: nothing would be left between the two layers.
    """

    def __init__(self, channels: int, *, reduction: int = 8):
        super().__init__()
        hidden = channels // reduction
        if hidden < 1:
            raise ValueError(
                f'channels={channels} of a ChannelGate must be at least reduction={reduction}.'
            )
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=(1, 2)))))  # (B, C)
        return x * gate.sigmoid()[:, None, None]
