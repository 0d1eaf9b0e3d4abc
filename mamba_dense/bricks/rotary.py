"""Rotary positions of a grid's tokens, turned on the tokens themselves (EVA's 2-D form).

On a grid of H rows, a token of width C in row y and column x is turned pair by pair: pair j of the
first half of its channels by the angle (pretrained y / H) theta^(-4j / C), of the second half
likewise by x and W. Positions are thus stretched to the grid the network was pretrained on.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

THETA = 10000.0
PRETRAINED_SIDE = 14


def rotary_tables(
    grid: Sequence[int],
    channels: int,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = 'cpu',
    pretrained_side: int = PRETRAINED_SIDE,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every token's angles, one for each pair of channels.

    Args:
        grid: (H, W).
        channels: width C of the tokens, a multiple of 4.
        dtype, device: of the tables; they are computed in float64 on the CPU.
        pretrained_side: the side that positions are stretched to.

    Returns:
        Two (H * W, C // 2), shared by everyone who asks for the same: read them only.

    Raises:
        ValueError: C is no multiple of 4.
    """
    if channels % 4:
        raise ValueError(f'channels={channels} of rotary positions must be a multiple of 4.')
    grid = (grid[0], grid[1])
    make = _tables if torch.compiler.is_compiling() else _cached
    return make(grid, channels, dtype, torch.device(device), pretrained_side)


def _tables(
    grid: tuple[int, int],
    channels: int,
    dtype: torch.dtype,
    device: torch.device,
    pretrained_side: int,
) -> tuple[Tensor, Tensor]:
    H, W = grid
    exponents = torch.arange(channels // 4, dtype=torch.float64, device='cpu') * (-4 / channels)
    frequencies = THETA**exponents  # (C / 4,)
    rows, columns = (
        torch.arange(side, dtype=torch.float64, device='cpu')[:, None]
        * (pretrained_side / side)
        * frequencies
        for side in grid
    )  # (H, C / 4), (W, C / 4)
    angles = torch.cat(
        [rows[:, None].expand(H, W, -1), columns[None].expand(H, W, -1)], dim=-1
    ).flatten(0, 1)  # (H * W, C / 2)
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


@lru_cache(maxsize=64)
def _cached(
    grid: tuple[int, int],
    channels: int,
    dtype: torch.dtype,
    device: torch.device,
    pretrained_side: int,
) -> tuple[Tensor, Tensor]:
    # real tensors, whoever asks first under whatever mode: others will use them too
    with _disable_current_modes(), torch.inference_mode(False):
        return _tables(grid, channels, dtype, device, pretrained_side)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels of x (B, L, C) by its angle; cos, sin (L, C // 2)."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)  # 2 x (B, L, C / 2)
    turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.flatten(-2)  # (B, L, C)
