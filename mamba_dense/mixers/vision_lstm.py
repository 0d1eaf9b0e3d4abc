"""Vision-LSTM's mixer (arXiv 2406.04303): the matrix LSTM of xLSTM (arXiv 2405.04517) over tokens.

Written from the papers and from measured numbers, without the source of any implementation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_kernels import mlstm

from ..bricks import CausalConv1d, OffsetLayerNorm

RATIO = 2  # inner width over that of the tokens
CONV_WIDTH = 4
GROUP = 4  # channels that queries, keys and values are formed of; also the number of heads
SMALL_GROUP = 2  # where the width is no multiple of 4


class GroupedLinear(nn.Module):
    """A linear map without bias within each group of channels.

    Args:
        channels: width of the tokens.
        group: consecutive channels that mix.
    """

    def __init__(self, channels: int, group: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels // group, group, group))
        nn.init.normal_(self.weight, std=group**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, channels) to the same shape."""
        groups, size, _ = self.weight.shape
        x = x.unflatten(-1, (groups, size))  # (B, L, groups, group)
        return torch.einsum('blgi,goi->blgo', x, self.weight).flatten(-2)


class MultiHeadNorm(OffsetLayerNorm):
    """Each head of (B, heads, L, width) normed over its width; (B, heads, L, width) out.

    Its weight (heads * width) is stored as what it adds to 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        scale = 1 + self.weight.view(x.shape[1], 1, x.shape[3])
        return F.layer_norm(x, x.shape[3:], eps=self.eps) * scale


class MatrixLSTM(nn.Module):
    """Gates from queries, keys and values, the matrix LSTM in heads, a norm of each head.

    Args:
        dim: width of the tokens.
        heads: number of heads, one scalar gate of either kind each.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.input_gate = nn.Linear(3 * dim, heads)
        self.forget_gate = nn.Linear(3 * dim, heads)
        self.out_norm = MultiHeadNorm(dim)
        self.reset()

    def reset(self) -> None:
        """The published start: gates that do not look at the tokens, forgetting little."""
        nn.init.zeros_(self.input_gate.weight)
        nn.init.normal_(self.input_gate.bias, std=0.1)
        nn.init.zeros_(self.forget_gate.weight)
        with torch.no_grad():
            self.forget_gate.bias.copy_(torch.linspace(3, 6, self.heads))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (B, L, dim) to (B, L, dim)."""
        tokens = torch.cat((q, k, v), -1)
        gates = [gate(tokens).mT for gate in (self.input_gate, self.forget_gate)]  # (B, heads, L)
        heads = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v)]
        h = self.out_norm(mlstm(*heads, *gates))  # (B, heads, L, width)
        return h.transpose(1, 2).flatten(2)


class VisionLSTM(nn.Module):
    """Projection, causal convolution, matrix LSTM, gate, projection; no norm, no residual.

    Args:
        channels: width C of the tokens.
        reverse: whether the sequence runs from its last token to its first.

    The inner width is 2C. There are 4 heads, and queries, keys and values mix groups of 4 channels:
    2 and 2 where C is no multiple of 4.
    """

    def __init__(self, channels: int, *, reverse: bool = False):
        super().__init__()
        group = SMALL_GROUP if channels % GROUP else GROUP
        dim = RATIO * channels
        self.reverse = reverse
        self.in_proj = nn.Linear(channels, 2 * dim, bias=False)
        self.conv = CausalConv1d(dim, CONV_WIDTH)
        self.q_proj = GroupedLinear(dim, group)
        self.k_proj = GroupedLinear(dim, group)
        self.v_proj = GroupedLinear(dim, group)
        self.cell = MatrixLSTM(dim, group)
        self.skip = nn.Parameter(torch.ones(dim))
        self.out_proj = nn.Linear(dim, channels, bias=False)
        self.reset()

    def reset(self) -> None:
        """The published start, the cell's apart."""
        channels = self.out_proj.out_features
        for part in (self.in_proj, self.q_proj, self.k_proj, self.v_proj):
            nn.init.normal_(part.weight, std=math.sqrt(2 / (5 * channels)))
        nn.init.normal_(self.out_proj.weight, std=2 / math.sqrt(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, *spatial, C) in raster order; same shape."""
        tokens = x.flatten(1, -2)  # (B, L, C)
        tokens = tokens.flip(1) if self.reverse else tokens
        u, gate = self.in_proj(tokens).chunk(2, -1)  # 2 x (B, L, E)
        seen = F.silu(self.conv(u))
        h = self.cell(self.q_proj(seen), self.k_proj(seen), self.v_proj(u))
        y = self.out_proj((h + self.skip * seen) * F.silu(gate))
        y = y.flip(1) if self.reverse else y
        return y.reshape(x.shape)
