"""The routed scan step by step: the definition that every backend is held to.

Route k visits the tokens p = table[k, t], t = 0 .. steps-1, each at most once:

    delta = softplus(dt_weight[k] dt_p + dt_bias[k])
    h[n]  = exp(delta A[k, n]) h[n] + delta B_p[n] x_p,     h = 0 before the first step
    y_p  += sum_n C_p[n] h[n] + D[k] x_p

A token on no route gets 0. Plain differentiable torch: any device and dtype, derivatives of any
order. It is never chosen by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..selective_scan.reference import recurrence


def route_scan(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    *,
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """Arguments and result as of `mamba_kernels.route_scan`, its routes a table (routes, steps)."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    order = table.long()
    route = torch.arange(order.size(0), device=order.device).unsqueeze(1)
    tokens = x.to(dtype)
    u = tokens[:, order]  # (batch, routes, steps, dim)
    packed = params.to(dtype)[:, order, route]  # (batch, routes, steps, rank + 2 state)
    dt, B, C = packed.split((dt_weight.size(2), A.size(2), A.size(2)), dim=-1)
    delta = F.softplus(dt @ dt_weight.to(dtype).mT + dt_bias.to(dtype).unsqueeze(1))
    y, _ = recurrence(delta, u, A.to(dtype), B.unsqueeze(-2), C.unsqueeze(-2))
    y = y + D.to(dtype).unsqueeze(1) * u
    total = torch.zeros_like(tokens).index_add(1, order.flatten(), y.flatten(1, 2))
    return total.to(x.dtype if out_dtype is None else out_dtype)
