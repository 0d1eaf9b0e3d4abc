"""selective_scan on GPUs: Triton kernels, forward and backward. Not yet run on a GPU.

A call is a scan with one route per group of B and C and with a step size given for every channel;
the kernels and their formulas stand in ../triton_scan.py. Tensors become channel-last on the way
in, which is free for the transposed views that mixers pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..triton_launch import Scan, launch_backward, launch_forward, unavailable, unsupported

__all__ = ['backward', 'forward', 'unavailable', 'unsupported']


def forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    out_dtype: torch.dtype,
    save_states: bool,
    chunks: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """y (batch, dim, length), last state (batch, dim, state), states of the tiles or empty."""
    batch, dim, length = u.shape
    scan = prepare(u, delta, A, B, C, D, delta_bias, delta_softplus, chunks)
    y, last, states = launch_forward(scan, out_dtype, save_states)
    last = last.transpose(2, 3).reshape(batch, dim, A.shape[1]).contiguous()  # (batch, dim, state)
    if not save_states:
        return channel_first(y), last, states.new_empty(0)
    # (batch, groups, tiles, state, dim / groups) -> (batch, tiles, state, dim)
    return channel_first(y), last, states.permute(0, 2, 3, 1, 4).flatten(3).contiguous()


def backward(
    dy: Tensor,
    dlast: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    states: Tensor,
    chunks: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of u, delta, A, B, C, D, delta_bias, each in its tensor's dtype."""
    batch, dim, _ = u.shape
    groups, state = B.shape[1:3]
    scan = prepare(u, delta, A, B, C, D, delta_bias, delta_softplus, chunks)
    if dlast is None:
        dlast = u.new_zeros((batch, dim, state), dtype=torch.float32)
    # (batch, dim, state) -> (batch, groups, state, dim / groups)
    dlast = dlast.reshape(batch, groups, dim // groups, state).transpose(2, 3).contiguous()
    # (batch, tiles, state, dim) -> (batch, groups, tiles, state, dim / groups)
    states = states.unflatten(3, (groups, dim // groups)).permute(0, 3, 1, 2, 4).contiguous()
    grads = launch_backward(scan, channel_last(dy, groups), dlast, states)
    # (batch, length, groups, 2 state) -> twice (batch, groups, state, length)
    dB, dC = grads['params'].permute(0, 2, 3, 1).split(state, dim=2)
    return (
        channel_first(grads['x']).to(u.dtype),
        channel_first(grads['delta']).to(delta.dtype),
        grads['A'].transpose(1, 2).reshape(dim, state).to(A.dtype).contiguous(),
        dB.to(B.dtype, copy=True, memory_format=torch.contiguous_format),
        dC.to(C.dtype, copy=True, memory_format=torch.contiguous_format),
        None if D is None else grads['D'].reshape(dim).to(D.dtype),
        None if delta_bias is None else grads['bias'].reshape(dim).to(delta_bias.dtype),
    )


def prepare(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    chunks: int | None,
) -> Scan:
    groups, state = B.shape[1:3]

    def per_channel(value: Tensor | None) -> Tensor:
        value = A.new_zeros(A.shape[0]) if value is None else value
        return value.float().reshape(groups, -1).contiguous()

    return Scan(
        x=channel_last(u, groups),
        params=torch.cat((B.float(), C.float()), dim=2).permute(0, 3, 1, 2).contiguous(),
        A=A.float().reshape(groups, -1, state).transpose(1, 2).contiguous(),
        bias=per_channel(delta_bias),
        D=per_channel(D),
        delta=channel_last(delta, groups),
        softplus=delta_softplus,
        chunks=chunks,
    )


def channel_last(tensor: Tensor, groups: int) -> Tensor:
    """(batch, dim, length) -> (batch, length, groups, dim / groups)"""
    batch, dim, length = tensor.shape
    return tensor.transpose(1, 2).contiguous().view(batch, length, groups, dim // groups)


def channel_first(tensor: Tensor) -> Tensor:
    """(batch, length, groups, dim / groups) -> (batch, dim, length)"""
    return tensor.flatten(2).transpose(1, 2).contiguous()
