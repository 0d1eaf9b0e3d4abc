"""SS2D, the 2-D selective scan of VMamba (arXiv 2401.10166, section 4.2), over any set of routes.

The published form copies the map once per route. Here one projection in token order feeds
`mamba_kernels.route_scan`, which reads the tokens through the routes and adds the results up.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_kernels import route_scan

from ..bricks import ChannelLastConv2d
from ..routes import ROUTES
from ..routes import routes as make_routes
from . import init


class _SelectiveScan2d(nn.Module):
    """What both mixers share: projections, convolution, scan parameters, norm and gate."""

    NO_DECAY = ('out_norm',)
    activation = staticmethod(F.silu)

    def __init__(
        self,
        channels: int,
        *,
        num_routes: int,
        ratio: float,
        state: int,
        conv_bias: bool,
        gated: bool,
    ):
        super().__init__()
        dim = int(ratio * channels)
        if dim < 1 or state < 1:
            raise ValueError(
                f'ratio={ratio} of {channels} channels and state={state} must leave at least '
                'one inner channel and one state.'
            )
        self.dim = dim
        self.rank = math.ceil(channels / 16)
        self.state = state
        self.gated = gated
        self.in_proj = nn.Linear(channels, 2 * dim if gated else dim, bias=False)
        self.conv = ChannelLastConv2d(dim, dim, 3, padding=1, groups=dim, bias=conv_bias)
        rows = self.rank + 2 * state
        self.x_proj_weight = nn.Parameter(init.x_proj_weight(num_routes, rows, dim))
        self.dt_proj_weight = nn.Parameter(init.dt_weight(num_routes, dim, self.rank))
        self.dt_proj_bias = nn.Parameter(init.dt_bias(num_routes, dim))
        self.A_log = nn.Parameter(init.a_log(num_routes, dim, state))
        self.D = nn.Parameter(torch.ones(num_routes, dim))
        self.out_norm = nn.LayerNorm(dim)
        self.out_proj = nn.Linear(dim, channels, bias=False)

    @abstractmethod
    def _mix(self, u: Tensor) -> Tensor:
        """The scans of one mixer over u (B, H, W, D), summed; same shape."""
        raise TypeError(f'{type(self).__name__} does not define its scan.')

    def _scan(self, x: Tensor, routes: Tensor | str, sets: slice = slice(None)) -> Tensor:
        """x (B, L, D) through the routes with the parameter sets given; sum over the routes."""
        B, L, _ = x.shape
        weight = self.x_proj_weight[sets]  # (K, R + 2N, D)
        params = F.linear(x, weight.flatten(0, 1)).view(B, L, *weight.shape[:2])  # (B, L, K, R+2N)
        return route_scan(
            x,
            params,
            self.dt_proj_weight[sets],
            self.dt_proj_bias[sets],
            init.decay(self.A_log[sets]),
            self.D[sets],
            routes,
            out_dtype=self.out_norm.weight.dtype,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, H, W, C); same shape."""
        u = self.in_proj(x)
        gate = None
        if self.gated:
            u, gate = u.chunk(2, dim=-1)  # 2 x (B, H, W, D)
        u = self.activation(self.conv(u))
        y = self.out_norm(self._mix(u)).to(u.dtype)
        if gate is not None:
            y = y * self.activation(gate)
        return self.out_proj(y)


class SS2D(_SelectiveScan2d):
    """2-D selective scan: gate, depth-wise convolution, K routed scans added up, norm.

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
        state: state size N of each scan.
        conv_bias: whether the depth-wise convolution has a bias.
        gated: whether half of the input projection gates the result by SiLU.
        routes: name of a row of `mamba_dense.routes.ROUTES`.

    Raises:
        ValueError: `routes` is no known name, or the inner width or state is below one.

    The step-size rank is ceil(C / 16).
    """

    def __init__(
        self,
        channels: int,
        *,
        ratio: float = 1.0,
        state: int = 1,
        conv_bias: bool = False,
        gated: bool = False,
        routes: str = 'cross',
    ):
        row = ROUTES.get(routes)
        if row is None or row.num_routes is None or row.rank not in (None, 2) or row.options:
            known = [
                name
                for name, row in ROUTES.items()
                if row.num_routes and row.rank in (None, 2) and not row.options
            ]
            raise ValueError(f'routes={routes!r} cannot lead an SS2D; known: {", ".join(known)}.')
        super().__init__(
            channels,
            num_routes=row.num_routes,
            ratio=ratio,
            state=state,
            conv_bias=conv_bias,
            gated=gated,
        )
        self.routes = routes

    def _mix(self, u: Tensor) -> Tensor:
        table = make_routes(self.routes, tuple(u.shape[1:3]))
        y = self._scan(u.flatten(1, 2), table.on(u.device))  # (B, H * W, D)
        return y.view(u.shape)


class CascadeSS2D(_SelectiveScan2d):
    """VMamba's cascade ablation (`v052dc`): rows both ways, then columns both ways.

    Every row is a sequence of its own, scanned forward with the first parameter set and backward
    with the second; then every column with the third and fourth. The authors add the backward
    results without turning them round, and the recorded numbers depend on it: so does this.

    Args: as of `SS2D`.
    """

    def __init__(
        self,
        channels: int,
        *,
        ratio: float = 1.0,
        state: int = 1,
        conv_bias: bool = False,
        gated: bool = False,
    ):
        super().__init__(
            channels,
            num_routes=4,
            ratio=ratio,
            state=state,
            conv_bias=conv_bias,
            gated=gated,
        )

    def _lines(self, x: Tensor, first_set: int) -> Tensor:
        """Scan every line x[b, i] of x (B, I, J, D) both ways; same shape."""
        B, I, J, D = x.shape
        lines = F.layer_norm(x, (D,)).view(B * I, J, D)
        ahead = self._scan(lines, 'forward', slice(first_set, first_set + 1))
        back = self._scan(lines.flip(1), 'forward', slice(first_set + 1, first_set + 2))
        return (ahead + back).view(B, I, J, D)

    def _mix(self, u: Tensor) -> Tensor:
        y = self._lines(u, 0)
        y = self._lines(y.transpose(1, 2).contiguous(), 2)  # (B, W, H, D)
        return y.transpose(1, 2)
