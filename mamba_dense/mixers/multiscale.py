"""MS2D, the multi-scale selective scan of MSVMamba (arXiv 2405.14174, section 3.3).

One route runs at full resolution; three more read a copy of the map that a strided convolution has
halved, and are one long sequence with one set of parameters. The published form concatenates three
reordered copies; here the copies stay as they are and one route walks through them.
"""

from torch import Tensor
from torch.nn import functional as F

from ..bricks import ChannelLastConv2d, SqueezeExcite
from ..routes import routes as make_routes
from .ss2d import _SelectiveScan2d

COPIES = 3  # of the halved map on the low sequence


class MultiScaleSS2D(_SelectiveScan2d):
    """Gate, two depth-wise convolutions, a scan of each, their sum, norm and channel gate.

    The two generations that were published differ in how the branches meet, and in the order of
    their parameter sets, which the weights depend on.

    Args:
        channels: width C of the tokens.
        ratio: inner width D over C.
        state: state size N of each scan.
        gated: whether half of the input projection gates the result by SiLU.
        norm_first: whether each branch is normed, then the low one enlarged bilinearly (first
            generation; set 0 is the low branch's), or the low one is enlarged to its nearest
            neighbours and the sum is normed (v3; set 0 is the full branch's).

    Raises:
        ValueError: the inner width or the state is below one, or the inner width is below 8.

    The step-size rank is ceil(C / 16).
    """

    def __init__(
        self,
        channels: int,
        *,
        ratio: float = 1.0,
        state: int = 1,
        gated: bool = False,
        norm_first: bool = False,
    ):
        super().__init__(
            channels, num_routes=2, ratio=ratio, state=state, conv_bias=True, gated=gated
        )
        D = self.dim
        self.norm_first = norm_first
        self.low_set, self.full_set = (0, 1) if norm_first else (1, 0)
        self.conv_low = ChannelLastConv2d(D, D, 7, stride=2, padding=3, groups=D)
        self.channel_gate = SqueezeExcite(D, D // 8, bias=False, linear=True)

    def _scan_full(self, u: Tensor) -> Tensor:
        """u (B, H, W, D) row by row; same shape."""
        table = make_routes('forward', tuple(u.shape[1:3]))
        sets = slice(self.full_set, self.full_set + 1)
        return self._scan(u.flatten(1, 2), table.on(u.device), sets).view(u.shape)

    def _scan_low(self, u: Tensor) -> Tensor:
        """u (B, h, w, D), scanned as three copies in one sequence: (B, 3, h, w, D)."""
        B, h, w, D = u.shape
        table = make_routes('copies-in-turn', (COPIES, h, w))
        sets = slice(self.low_set, self.low_set + 1)
        copies = u.flatten(1, 2).repeat(1, COPIES, 1)  # (B, 3 * h * w, D)
        return self._scan(copies, table.on(u.device), sets).view(B, COPIES, h, w, D)

    def _enlarge(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x (B, h, w, D) to (B, *grid, D)."""
        x = x.permute(0, 3, 1, 2)  # (B, D, h, w)
        if self.norm_first:
            x = F.interpolate(x, grid, mode='bilinear', align_corners=False)
        else:
            x = F.interpolate(x, grid, mode='nearest')
        return x.permute(0, 2, 3, 1)  # (B, H, W, D)

    def _mix(self, u: Tensor) -> Tensor:
        grid = (u.shape[1], u.shape[2])
        full = self._scan_full(F.silu(self.conv(u)))
        low = self._scan_low(F.silu(self.conv_low(u)))
        if self.norm_first:
            return self.out_norm(full) + self._enlarge(self.out_norm(low).sum(dim=1), grid)
        return self.out_norm(full + self._enlarge(low.sum(dim=1), grid))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of x (B, H, W, C); same shape."""
        u = self.in_proj(x)
        gate = None
        if self.gated:
            u, gate = u.chunk(2, dim=-1)  # 2 x (B, H, W, D)
        y = self.channel_gate(self._mix(u).to(u.dtype))
        return self.out_proj(y if gate is None else y * F.silu(gate))
