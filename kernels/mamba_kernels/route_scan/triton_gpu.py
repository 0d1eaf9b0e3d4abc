"""route_scan on GPUs: Triton kernels, forward and backward. Not yet run on a GPU.

The kernels and their formulas stand in ../triton_scan.py. Tokens are read through the table; each
route writes its own float32 output and input gradient, summed in the order of the routes, so that
every run gives the same bits. Ranks up to 16 are expanded to step sizes inside the kernels, larger
ones by a matrix product beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..triton_launch import (
    LOW_RANK,
    Scan,
    launch_backward,
    launch_forward,
    unavailable,
    unsupported,
)

__all__ = ['backward', 'forward', 'unavailable', 'unsupported']


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
    chunks: int | None = None,
) -> tuple[Tensor, Tensor]:
    """y (batch, length, dim), states (batch, routes, tiles, state, dim) or empty."""
    scan = prepare(x, params, dt_weight, dt_bias, A, D, table, chunks)
    if table.shape[0] == 1:
        y, _, states = launch_forward(scan, out_dtype, save_states)
        return y.squeeze(2), states if save_states else states.new_empty(0)
    y, _, states = launch_forward(scan, torch.float32, save_states)
    return y.sum(2).to(out_dtype), states if save_states else states.new_empty(0)


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
    chunks: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, params, dt_weight, dt_bias, A, D, each in its tensor's dtype."""
    batch, _, dim = x.shape
    routes, _, rank = dt_weight.shape
    scan = prepare(x, params, dt_weight, dt_bias, A, D, table, chunks)
    dlast = x.new_zeros((batch, routes, A.shape[2], dim), dtype=torch.float32)
    grads = launch_backward(scan, dy.contiguous(), dlast, states.contiguous())
    dparams, dweight = grads['params'], grads['weight'].transpose(1, 2)  # (routes, dim, rank)
    if scan.delta is not None:
        weight, dt = dt_weight.float(), params[..., :rank].float()
        ddt = torch.einsum('blkd,kdr->blkr', grads['delta'], weight)
        dweight = torch.einsum('blkd,blkr->kdr', grads['delta'], dt)
        dparams = torch.cat((ddt, dparams), dim=-1)
    return (
        grads['x'].sum(2).to(x.dtype),
        dparams.to(params.dtype),
        dweight.to(dt_weight.dtype).contiguous(),
        grads['bias'].to(dt_bias.dtype),
        grads['A'].transpose(1, 2).to(A.dtype).contiguous(),
        grads['D'].to(D.dtype),
    )


def prepare(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    chunks: int | None,
) -> Scan:
    rank = dt_weight.shape[2]
    weight, delta = dt_weight.float().transpose(1, 2).contiguous(), None  # (routes, rank, dim)
    if rank > LOW_RANK:
        delta = torch.einsum('blkr,krd->blkd', params[..., :rank].float(), weight).contiguous()
        weight, params = None, params[..., rank:]
    return Scan(
        x=x.contiguous(),
        params=params.float().contiguous(),
        A=A.float().transpose(1, 2).contiguous(),
        bias=dt_bias.float().contiguous(),
        D=D.float().contiguous(),
        weight=weight,
        delta=delta,
        table=table.to(torch.int32).contiguous(),
        chunks=chunks,
    )
