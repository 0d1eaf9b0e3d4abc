"""The two-layer perceptron of a transformer-like block."""

from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, exact GELU, linear over the last axis.

    Args:
        channels: width at the door.
        hidden: width between the two layers.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *spatial, C) to the same shape."""
        return self.fc2(self.act(self.fc1(x)))
