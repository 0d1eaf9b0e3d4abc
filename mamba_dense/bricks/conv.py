"""Convolutions over channel-last maps and tokens that copy nothing."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelLastConv2d(nn.Conv2d):
    """`nn.Conv2d` whose door is (B, H, W, C).

    The convolution takes the permuted view, which is torch's channels_last memory format; its
    result is contiguous again after the permute back wherever the library keeps that format. An
    image, which comes channel-first, is turned before the convolution: its result is larger.
    `module.to(memory_format=torch.channels_last)` keeps the weights from being turned at each call.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, H, W, C) to (B, H', W', C'), contiguous."""
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)  # (B, C, H, W)
        return super().forward(x).permute(0, 2, 3, 1).contiguous()


class CausalConv1d(nn.Conv1d):
    """Depth-wise convolution over a sequence in which no token sees what comes after it.

    Args:
        channels: width of the tokens.
        width: tokens that each one sees, itself the last of them.
        reverse: whether the sequence runs from its last token to its first, so that no token sees
            what comes before it; the tokens stay where they are, the kernel is turned instead.
    """

    def __init__(self, channels: int, width: int, *, reverse: bool = False):
        super().__init__(channels, channels, width, groups=channels)
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, L, C); same shape."""
        L, reach = x.shape[1], self.kernel_size[0] - 1
        weight = self.weight.flip(-1) if self.reverse else self.weight  # (C, 1, width)
        x = x.unsqueeze(1).permute(0, 3, 1, 2)  # (B, C, 1, L), channels_last
        x = F.conv2d(
            x, weight.unsqueeze(2), self.bias, padding=(0, reach), groups=self.groups
        )  # (B, C, 1, L + reach)
        start = reach if self.reverse else 0
        return x[..., start : start + L].permute(0, 2, 3, 1).squeeze(1)  # (B, L, C)
