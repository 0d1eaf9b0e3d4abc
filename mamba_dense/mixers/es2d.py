"""ES2D, the atrous selective scan of EfficientVMamba (arXiv 2403.09977, section 4.1).

The map is split by skip sampling into four quarter grids and each route scans one of them, so that
every token is scanned once instead of four times. The routes write to disjoint tokens: what SS2D
adds up is here a plain scatter.
"""

from torch import Tensor
from torch.nn import functional as F

from ..routes import routes as make_routes
from .ss2d import SS2D


class ES2D(SS2D):
    """SS2D over the quarters of the grid, gated, with a bias in the convolution.

    A grid of odd sides gets a row of zeros at the bottom or a column at the right after the
    convolution. These tokens take part in the scans (they let the state decay), then they are cut.

    Args:
        channels: width C of the tokens.
        ratio: inner width over C.
        state: state size N of each scan.
    """

    def __init__(self, channels: int, *, ratio: float = 2.0, state: int = 16):
        super().__init__(
            channels, ratio=ratio, state=state, conv_bias=True, gated=True, routes='atrous'
        )

    def _mix(self, u: Tensor) -> Tensor:
        H, W = u.shape[1:3]
        u = F.pad(u, (0, 0, 0, W % 2, 0, H % 2))  # (B, H', W', D), even sides
        table = make_routes(self.routes, tuple(u.shape[1:3]))
        y = self._scan(u.flatten(1, 2), table.on(u.device)).view(u.shape)
        return y[:, :H, :W]
