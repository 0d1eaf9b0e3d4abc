"""A convolution over channel-last maps that copies nothing."""

from torch import Tensor, nn


class ChannelLastConv2d(nn.Conv2d):
    """`nn.Conv2d` whose door is (B, H, W, C).

    The convolution takes the permuted view, which is torch's channels_last memory format; its
    result is contiguous again after the permute back wherever the library keeps that format.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, H, W, C) to (B, H', W', C'), contiguous."""
        x = super().forward(x.permute(0, 3, 1, 2))  # (B, C', H', W')
        return x.permute(0, 2, 3, 1).contiguous()
