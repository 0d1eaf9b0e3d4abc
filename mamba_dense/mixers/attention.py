"""Softmax self-attention over all tokens of a map (Vaswani et al., arXiv 1706.03762)."""

from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Multi-head attention without positions: one projection to q, k, v; output projection.

    Memory grows with the square of the tokens only where torch has no fused attention.

    Args:
        channels: width C of the tokens.
        heads: number of heads, which must divide C.

    Raises:
        ValueError: `heads` does not divide C.
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f'heads={heads} of a SelfAttention must divide channels={channels}.')
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out_proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, *spatial, C); same shape."""
        qkv = self.qkv(x.flatten(1, -2)).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, heads, P)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # 3 x (B, heads, L, P)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(y.transpose(1, 2).flatten(2)).view(x.shape)
