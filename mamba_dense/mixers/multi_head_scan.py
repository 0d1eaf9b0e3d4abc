"""MHS-VM's mixer: heads in subspaces, each with a scan pattern of its own (arXiv 2406.05992).

A head walks four routes and does not add them up: a gate weighs their sum, place by place, by how
much they disagree. So each route is read apart, one `mamba_kernels.route_scan` for each.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_kernels import route_scan

from ..bricks import ChannelLastConv2d
from ..routes import routes as make_routes
from . import init

# routes of the heads, in the order of the channels: patterns C, X, S and Z of the paper
PATTERNS = ('snake', 'zigzag', 'spiral', 'raster')
EPSILON = 1e-5


def gated_fusion(y: Tensor, threshold: float) -> Tensor:
    """The routes' sum, times how far their coefficient of variation passes a threshold.

    sum_k y * max(cv - threshold, 0), cv = sd_k(y) / (mean_k(y - min_k y) + 1e-5), the standard
    deviation with K - 1 (arXiv 2406.05992, scan route attention).

    Args:
        y: (..., K, D), K routes.
        threshold: 0 or more.

    Returns:
        (..., D).
    """
    spread = (y - y.amin(dim=-2, keepdim=True)).mean(dim=-2)
    variance = y.var(dim=-2)
    # the root has no slope at 0, where the routes agree: on a map of one token, always
    agree = variance == 0
    deviation = variance.masked_fill(agree, 1.0).sqrt().masked_fill(agree, 0.0)
    return y.sum(dim=-2) * F.relu(deviation / (spread + EPSILON) - threshold)


class ScanHead(nn.Module):
    """Four routes of one pattern over a subspace, fused by `gated_fusion`.

    Args:
        channels: width s of the subspace.
        state: state size N of the scans.
        routes: name of a row of `mamba_dense.routes.ROUTES` that has four routes.
        threshold: of the fusion.
    """

    def __init__(self, channels: int, *, state: int, routes: str, threshold: float):
        super().__init__()
        rank = math.ceil(channels / 16)
        self.routes = routes
        self.threshold = threshold
        self.x_proj_weight = nn.Parameter(init.x_proj_weight(4, rank + 2 * state, channels))
        self.dt_proj_weight = nn.Parameter(init.dt_weight(4, channels, rank))
        self.dt_proj_bias = nn.Parameter(init.dt_bias(4, channels))
        self.A_log = nn.Parameter(init.a_log(4, channels, state))
        self.D = nn.Parameter(torch.ones(4, channels))

    def scan(self, x: Tensor) -> Tensor:
        """x (B, H, W, s) along each route: (B, H, W, K, s), back at the tokens' places."""
        B, H, W, s = x.shape
        order = make_routes(self.routes, (H, W)).on(x.device)  # (K, L)
        tokens = x.reshape(B, H * W, s)
        weight = self.x_proj_weight  # (K, R + 2N, s)
        params = F.linear(tokens, weight.flatten(0, 1)).view(B, H * W, *weight.shape[:2])
        decay = init.decay(self.A_log)
        walked = []
        for k in range(weight.shape[0]):
            one = slice(k, k + 1)
            walked.append(
                route_scan(
                    tokens,
                    params[:, :, one],
                    self.dt_proj_weight[one],
                    self.dt_proj_bias[one],
                    decay[one],
                    self.D[one],
                    order[one],
                    out_dtype=self.D.dtype,
                )
            )
        return torch.stack(walked, dim=2).view(B, H, W, -1, s)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, s); same shape."""
        return gated_fusion(self.scan(x), self.threshold).to(x.dtype)


class MultiHeadScan(nn.Module):
    """Subspaces side by side, a `ScanHead` on each, norm, and the way back to the width.

    Args:
        channels: width C.
        heads: 3 or 4, in the order of `PATTERNS`.
        state: state size N of the scans.
        threshold: of the fusion.
        project: norm and projection after the heads; without, C must be a multiple of `heads`.

    Raises:
        ValueError: a value above is not allowed.
    """

    NO_DECAY = ('norm',)

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        state: int = 16,
        threshold: float = 0.0,
        project: bool = True,
    ):
        super().__init__()
        if heads not in (3, 4) or channels < heads or threshold < 0:
            raise ValueError(
                f'heads={heads} must be 3 or 4, channels={channels} at least as many, and '
                f'threshold={threshold} 0 or more.'
            )
        if not project and channels % heads:
            raise ValueError(
                f'channels={channels} must be a multiple of heads={heads} where project=False.'
            )
        part = channels // heads
        self.project = nn.Linear(channels, heads * part, bias=False)
        self.heads = nn.ModuleList(
            ScanHead(part, state=state, routes=pattern, threshold=threshold)
            for pattern in PATTERNS[:heads]
        )
        self.norm = nn.LayerNorm(heads * part) if project else None
        self.out_proj = nn.Linear(heads * part, channels, bias=False) if project else None

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C); same shape."""
        parts = self.project(x).chunk(len(self.heads), dim=-1)
        y = torch.cat([head(part) for head, part in zip(self.heads, parts, strict=True)], dim=-1)
        return y if self.norm is None else self.out_proj(self.norm(y))


class MultiHeadMixer(nn.Module):
    """Depth-wise convolution, multi-head scan and norm, gated or not.

    There is no projection after the gate: the paper draws one, the released network has none.

    Args:
        channels, heads, state, threshold, project: see `MultiHeadScan`.
        gated: whether a projection of the input gates the result by SiLU; without, there is no
            projection before the convolution either.
    """

    NO_DECAY = ('out_norm',)

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        state: int = 16,
        threshold: float = 0.0,
        project: bool = True,
        gated: bool = True,
    ):
        super().__init__()
        self.in_proj = nn.Linear(channels, 2 * channels, bias=False) if gated else None
        self.conv = ChannelLastConv2d(channels, channels, 3, padding=1, groups=channels)
        self.scan = MultiHeadScan(
            channels, heads=heads, state=state, threshold=threshold, project=project
        )
        self.out_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, H, W, C); same shape."""
        gate = None
        if self.in_proj is not None:
            x, gate = self.in_proj(x).chunk(2, dim=-1)
        y = self.out_norm(self.scan(F.silu(self.conv(x))))
        return y if gate is None else y * F.silu(gate)
