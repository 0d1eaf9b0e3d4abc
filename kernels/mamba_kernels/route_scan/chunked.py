"""The routed scan in plain torch: gather the tokens of all routes, scan, add up.

The recurrence is `selective_scan/chunked.py`'s with a group a route.
"""

import torch
from torch import Tensor

from ..selective_scan.chunked import (
    Problem,
    activate,
    chunk,
    compute_dtype,
    deactivate,
    scan,
    scan_gradients,
    unavailable,
    unchunk,
    unsupported,
)

__all__ = ['backward', 'forward', 'unavailable', 'unsupported']


def _tokens(x: Tensor, table: Tensor) -> Tensor:
    """(batch, tokens, D) read through every route: (batch, K, S, D)."""
    return x.index_select(1, table.flatten()).unflatten(1, table.shape)


def _route_params(params: Tensor, table: Tensor) -> Tensor:
    """(batch, tokens, K, P), each route reading its own: (batch, K, S, P)."""
    index = table.t()[None, :, :, None].expand(params.shape[0], -1, -1, params.shape[3]).long()
    return params.gather(1, index).transpose(1, 2)


def _merge(y: Tensor, table: Tensor, tokens: int) -> Tensor:
    """Add (batch, K, S, D) up at the tokens the routes visit, route after route."""
    out = y.new_zeros(y.shape[0], tokens, y.shape[3])
    for k, route in enumerate(table):
        out.index_add_(1, route, y[:, k])
    return out


def _problem(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    table: Tensor,
) -> tuple[Problem, Tensor, Tensor]:
    """The scan, its raw step sizes (batch, K, S, D) and their low-rank source (batch, K, S, R)."""
    dtype, rank, state = compute_dtype(x), dt_weight.shape[2], A.shape[2]
    routed = _route_params(params.to(dtype), table)
    dt, B, C = routed.split([rank, state, state], dim=-1)
    delta = torch.matmul(dt, dt_weight.to(dtype).transpose(1, 2))  # (batch, K, S, D)
    delta, raw = activate(delta, dt_bias.to(dtype)[:, None], True)
    u = chunk(_tokens(x.to(dtype), table))
    A = A.to(dtype).transpose(1, 2).unsqueeze(1).contiguous()  # (K, 1, N, D)
    return Problem(u, chunk(delta), A, chunk(B), chunk(C)), raw, dt


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
    """y (batch, tokens, dim), states (batch, routes, tiles, state, dim) or empty."""
    problem, _, _ = _problem(x, params, dt_weight, dt_bias, A, table)
    y, _, starts = scan(problem)
    routed = unchunk(y, table.shape[1])
    routed = routed + D.to(y.dtype)[:, None] * unchunk(problem.u, table.shape[1])
    out = _merge(routed, table, x.shape[1]).to(out_dtype)
    return out, starts if save_states else starts.new_empty(0)


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
) -> tuple[Tensor, ...]:
    """Gradients of x, params, dt_weight, dt_bias, A and D, each in its tensor's dtype."""
    dtype, steps = compute_dtype(x), table.shape[1]
    problem, raw, dt = _problem(x, params, dt_weight, dt_bias, A, table)
    routed = _tokens(dy.to(dtype), table)  # (batch, K, S, D)
    du, ddelta, dA, dB, dC = scan_gradients(problem, chunk(routed), None, states)
    du, ddelta, dB, dC = (unchunk(t, steps) for t in (du, ddelta, dB, dC))
    ddelta = deactivate(ddelta, raw)
    ddt = torch.matmul(ddelta, dt_weight.to(dtype))  # (batch, K, S, R)
    dweight = torch.matmul(ddelta.transpose(2, 3), dt).sum(0)  # (K, D, R)
    du = du + D.to(dtype)[:, None] * routed
    gradients = torch.cat([ddt, dB, dC], dim=-1).transpose(1, 2)  # (batch, S, K, R + 2N)
    index = table.t()[None, :, :, None].expand(gradients.shape).long()
    dparams = gradients.new_zeros(params.shape).scatter_(1, index, gradients)
    dD = (routed * unchunk(problem.u, steps)).sum((0, 2))
    return (
        _merge(du, table, x.shape[1]).to(x.dtype),
        dparams.to(params.dtype),
        dweight.to(dt_weight.dtype),
        ddelta.sum((0, 2)).to(dt_bias.dtype),
        dA.sum((0, 2)).transpose(1, 2).to(A.dtype).contiguous(),
        dD.to(D.dtype),
    )
