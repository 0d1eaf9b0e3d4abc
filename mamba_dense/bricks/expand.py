"""The way up: a finer grid of fewer channels."""

from torch import Tensor, nn


class PatchExpand(nn.Module):
    """A projection whose channels become a block of finer tokens, then LayerNorm (Swin-UNet).

    Args:
        channels: width before.
        out_channels: width after.
        factor: how much finer each side gets.
    """

    NO_DECAY = ('norm',)

    def __init__(self, channels: int, out_channels: int, *, factor: int = 2):
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(channels, factor * factor * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) to (B, factor * H, factor * W, C')."""
        B, H, W, _ = x.shape
        f = self.factor
        x = self.expand(x).view(B, H, W, f, f, -1)  # row and column within the block
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(B, f * H, f * W, -1)
        return self.norm(x)
