"""The selective scan step by step: the definition that every backend is held to.

    delta = softplus(delta + delta_bias)                             (softplus only when asked)
    h_t[n] = exp(delta_t A[n]) h_{t-1}[n] + delta_t u_t B_t[n],      h_{-1} = 0
    y_t    = sum_n C_t[n] h_t[n] + D u_t,      out_t = y_t silu(z_t) when a gate is given

Plain differentiable torch: any device and dtype, derivatives of any order. It is never chosen by
itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def recurrence(delta: Tensor, u: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of C_t h_t, and the last state.

    delta, u (..., length, dim), A (..., dim, state), B, C (..., length, dim or 1, state), leading
    axes equal or broadcast -> y (..., length, dim), h (..., dim, state).
    """
    h = delta.new_zeros(*delta.shape[:-2], delta.size(-1), A.size(-1))
    ys = []
    # unbind once: indexing a step at a time would make autograd write a full-size gradient per step
    steps = zip(
        delta.unsqueeze(-1).unbind(-3),
        u.unsqueeze(-1).unbind(-3),
        B.unbind(-3),
        C.unbind(-3),
        strict=True,
    )
    for delta_t, u_t, B_t, C_t in steps:
        h = torch.exp(delta_t * A) * h + delta_t * u_t * B_t
        ys.append((h * C_t).sum(-1))
    return torch.stack(ys, -2), h


def _per_channel(matrix: Tensor, dim: int, length: int) -> Tensor:
    """B or C in any of its forms -> (batch or 1, length, dim, state)."""
    if matrix.dim() == 2:  # (dim, state)
        return matrix[None, None].expand(1, length, -1, -1)
    if matrix.dim() == 3:  # (batch, state, length)
        matrix = matrix.unsqueeze(1)
    matrix = matrix.repeat_interleave(dim // matrix.size(1), dim=1)  # (batch, dim, state, length)
    return matrix.permute(0, 3, 1, 2)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Arguments and result as of `mamba_kernels.selective_scan`."""
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    dim, length = u.shape[1:]
    x, step = u.to(dtype), delta.to(dtype)
    if delta_bias is not None:
        step = step + delta_bias.to(dtype).unsqueeze(-1)
    if delta_softplus:
        step = F.softplus(step)
    B, C = (_per_channel(matrix.to(dtype), dim, length) for matrix in (B, C))
    y, last_state = recurrence(step.mT, x.mT, A.to(dtype), B, C)
    y = y.mT
    if D is not None:
        y = y + D.to(dtype).unsqueeze(-1) * x
    if z is not None:
        y = y * F.silu(z.to(dtype))
    y = y.to(u.dtype)
    return (y, last_state) if return_last_state else y
