"""Squeeze-and-excitation (Hu et al., arXiv 1709.01507)."""

from torch import Tensor, nn
from torch.nn import functional as F


class SqueezeExcite(nn.Module):
    """Scale each channel by what two layers make of the means of all.

    Args:
        channels: width at the door.
        hidden: width between the two layers.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to the same shape."""
        scale = self.fc2(F.relu(self.fc1(x.mean(dim=(1, 2)))))  # (B, C)
        return x * scale.sigmoid()[:, None, None]
