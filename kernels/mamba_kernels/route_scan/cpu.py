"""The routed scan by the C++ kernels: tokens read through the routes, step sizes formed inside.

Formulas and structure are in `csrc/scan_tile.h` and `csrc/route_scan.cpp`; here inputs become fp32
and parameter gradients, which come per batch item, are added in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import CHECKPOINT
from ..selective_scan.cpu import MOST_STATES, chunks_of_channels, unavailable, unsupported

__all__ = ['backward', 'forward', 'unavailable', 'unsupported']

MOST_RANK = 64


def _prepare(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
) -> tuple[Tensor, ...]:
    state, rank = A.size(2), dt_weight.size(2)
    for argument, size, value, most in (
        ('A', 'state', state, MOST_STATES),
        ('dt_weight', 'rank', rank, MOST_RANK),
    ):
        if value > most:
            raise ValueError(
                f'{argument} has {size}={value}; the cpu backend serves 1 to {most}: '
                'use backend="chunked"'
            )
    floats = (tensor.float().contiguous() for tensor in (x, params, dt_weight, dt_bias, A, D))
    return *floats, table.to(torch.int32).contiguous()


def _untouched(like: Tensor, gaps: bool) -> Tensor:
    """An fp32 result of the shape of `like`; zero where routes leave tokens out, else unset."""
    make = torch.zeros if gaps else torch.empty
    return make(like.shape, dtype=torch.float32)


def window_of_steps(x: Tensor, params: Tensor, steps: int, chunks: int) -> int:
    """Steps of a route between two merges of the chunks' partial sums, whole tiles.

    They take a sixteenth of x where that is four tiles at least; no result depends on it.
    """
    row = chunks * x.size(0) * params.size(-1)
    tiles = max(x.numel() // (16 * max(row, 1)) // CHECKPOINT, 4)
    return min(tiles, -(-steps // CHECKPOINT)) * CHECKPOINT


def forward(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    out_dtype: torch.dtype,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    """x (batch, tokens, dim), params (batch, tokens, routes, rank + 2 state) -> y, states."""
    batch, tokens, dim = x.shape
    routes, steps = table.shape
    y = _untouched(x, tokens > steps)
    states = y.new_empty(
        (batch, routes, -(-steps // CHECKPOINT), A.size(2), dim) if save_states else 0
    )
    inputs = _prepare(x, params, dt_weight, dt_bias, A, D, table)
    torch.ops.mamba_kernels_cpu.route_forward(*inputs, y, states)
    return y.to(out_dtype), states


def backward(
    dy: Tensor,
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all inputs but the table, each in its input's dtype."""
    batch, tokens, dim = x.shape
    routes, steps = table.shape
    inputs = _prepare(x, params, dt_weight, dt_bias, A, D, table)
    dx, dparams = (_untouched(tensor, tokens > steps) for tensor in (x, params))
    chunks = chunks_of_channels(batch, dim)
    partial = dx.new_empty(
        (chunks, batch, window_of_steps(x, params, steps, chunks), params.size(-1))
    )
    per_item = [dx.new_empty((batch, *tensor.shape)) for tensor in (dt_weight, dt_bias, A, D)]
    torch.ops.mamba_kernels_cpu.route_backward(
        dy.float().contiguous(), *inputs, states, partial, dx, dparams, *per_item
    )
    weights = (
        (grad[0] if batch == 1 else grad.sum(0)).to(tensor.dtype)
        for grad, tensor in zip(per_item, (dt_weight, dt_bias, A, D), strict=True)
    )
    return dx.to(x.dtype), dparams.to(params.dtype), *weights
