"""Deep supervision: a loss at several resolutions, for networks in two and three dimensions."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional as F


def halving_weights(count: int) -> tuple[float, ...]:
    """Weights of `count` maps, full resolution first: 1, 1/2, 1/4, ..., the last 0, of sum 1.

    nnU-Net's (Nature Methods 18, 203 (2021)); a single map has weight 1.

    Raises:
        ValueError: no map.
    """
    if count < 1:
        raise ValueError(f'count={count} maps cannot be weighted; a network gives one at least.')
    halved = [0.5**i for i in range(max(count - 1, 1))]
    shares = [weight / sum(halved) for weight in halved]
    return tuple(shares + [0.0] * (count - len(shares)))


def shrink(label: Tensor, size: Sequence[int]) -> Tensor:
    """`label` (B, *spatial) at the grid `size`, taken from the nearest place (as torch numbers it).

    Class numbers below 2**24 stay exact.
    """
    if tuple(label.shape[1:]) == tuple(size):
        return label
    small = F.interpolate(label.unsqueeze(1).float(), tuple(size), mode='nearest')
    return small.squeeze(1).to(label.dtype)


def supervised(
    loss: Callable[..., Tensor],
    maps: Sequence[Tensor],
    label: Tensor,
    weights: Sequence[float],
    ignore_index: int = 255,
) -> Tensor:
    """The weighted sum of a loss over maps of several resolutions: a scalar.

    Args:
        loss: takes logits (B, K, *grid), a label (B, *grid) and `ignore_index`.
        maps: logits (B, K, *grid), full resolution first.
        label: (B, *spatial) class numbers; shrunk to the grid of each map.
        weights: of the maps; where one is 0 the map has no part.
        ignore_index: label of places that do not count.

    Raises:
        ValueError: `maps` and `weights` differ in number, or every weight is 0.
    """
    if len(maps) != len(weights):
        raise ValueError(
            f'the network gives {len(maps)} map(s) of logits, supervision={tuple(weights)} weighs '
            f'{len(weights)}; give one weight a map, full resolution first, for example '
            f'{tuple(round(weight, 3) for weight in halving_weights(len(maps)))}.'
        )
    parts = [
        weight * loss(logits, shrink(label, logits.shape[2:]), ignore_index=ignore_index)
        for logits, weight in zip(maps, weights, strict=True)
        if weight
    ]
    if not parts:
        raise ValueError(f'supervision={tuple(weights)}: one weight at least must not be 0.')
    return sum(parts[1:], parts[0])
