"""Learned tables of positions: resized from one grid to another, and read from authors' files."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize_table(table: Tensor, grid: Sequence[int]) -> Tensor:
    """A table (1, H, W, C) for another grid: bicubic, corners not aligned; (1, H', W', C).

    Computed in float32 at least and handed back in the table's dtype; the same grid gives the
    table itself.
    """
    size = (grid[0], grid[1])
    if tuple(table.shape[1:3]) == size:
        return table
    x = table.permute(0, 3, 1, 2)  # (1, C, H, W)
    x = x.double() if table.element_size() == 8 else x.float()
    x = F.interpolate(x, size=size, mode='bicubic', align_corners=False)
    return x.permute(0, 2, 3, 1).to(table.dtype)  # (1, H', W', C)


def adapt_table(table: Tensor, shape: Sequence[int]) -> Tensor | None:
    """The part of a file's table that a target of this shape stands for; None if there is none.

    Args:
        table: (1, H, W, C), or (1, M, C) for the M tokens of a grid in raster order, or
            (1, M + 1, C) for the same with the row of a class token in the middle, at M // 2. A
            file does not say its grid: it is the target's where the number of rows fits that, else
            a square, and where the number of rows is no square it has the class token.
        shape: (1, H', W', C) takes the tokens in their order, without the class token's row,
            resized to that grid; (1, 1, C) takes the class token's row.
    """
    if table.ndim not in (3, 4) or table.shape[0] != 1 or table.shape[-1] != shape[-1]:
        return None
    if table.ndim == 4:
        return resize_table(table, shape[1:3]) if len(shape) == 4 else None
    count, width = table.shape[1:]
    sides = shape[1:3] if len(shape) == 4 else (0, 0)
    tokens = math.prod(sides)
    if count not in (tokens, tokens + 1):
        sides = _square(count) or _square(count - 1)
        if sides is None:
            return None
        tokens = math.prod(sides)
    middle = tokens // 2
    if len(shape) == 3:
        return table[:, middle : middle + 1] if shape[1] == 1 and count > tokens else None
    if count > tokens:
        table = table[:, [i for i in range(count) if i != middle]]
    return resize_table(table.reshape(1, *sides, width), shape[1:3])


def _square(count: int) -> tuple[int, int] | None:
    side = math.isqrt(count)
    return (side, side) if side and side * side == count else None
