"""A feature pyramid that goes on below the backbone's finest map."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .norm import ChannelFirstLayerNorm


class ExtendedFPN(nn.Module):
    """FPN (arXiv 1612.03144) with finer levels by transposed convolutions (EfficientViM's neck).

    Every input is normed, or none (MobileMamba's form, arXiv 2411.15941). A finer level is made of
    the one above it, before their last 3x3 convolutions; coarser ones come from the last input by
    convolutions of stride 2.

    Args:
        in_channels: widths of the inputs, finest first.
        out_channels: width of each level.
        finer: levels below the finest input, each of half the stride.
        coarser: levels above the coarsest input, each of twice the stride.
        norm_inputs: whether each input passes a norm.

    Raises:
        ValueError: a negative number of levels.
    """

    NO_DECAY = ('norms',)

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        *,
        finer: int = 2,
        coarser: int = 0,
        norm_inputs: bool = True,
    ):
        super().__init__()
        if min(finer, coarser) < 0:
            raise ValueError(f'finer={finer} and coarser={coarser} must not be negative.')
        self.num_outs = finer + len(in_channels) + coarser
        self.norms = nn.ModuleList(
            ChannelFirstLayerNorm(width) if norm_inputs else nn.Identity() for width in in_channels
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for width in in_channels)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(out_channels, out_channels, 2, stride=2) for _ in range(finer)
        )
        self.finer = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in range(finer)
        )
        self.levels = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in in_channels
        )
        self.coarser = nn.ModuleList(
            nn.Conv2d(out_channels if i else in_channels[-1], out_channels, 3, stride=2, padding=1)
            for i in range(coarser)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C_i, H_i, W_i) to `num_outs` maps of `out_channels`, finest first."""
        inputs = [norm(x) for norm, x in zip(self.norms, features, strict=True)]
        maps = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        for i in reversed(range(1, len(maps))):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], maps[i - 1].shape[2:])
        fine: list[Tensor] = []
        for up in self.ups:
            fine.insert(0, up(fine[0] if fine else maps[0]))
        outputs = [level(x) for level, x in zip(self.finer, fine, strict=True)]
        outputs += [level(x) for level, x in zip(self.levels, maps, strict=True)]
        x = inputs[-1]
        for level in self.coarser:
            x = level(x)
            outputs.append(x)
        return tuple(outputs)
