"""The parameters of a selective scan: how they start (Mamba, arXiv 2312.00752, section 3.6)."""

import math

import torch
from torch import Tensor

DT_MIN = 1e-3
DT_MAX = 0.1
DT_FLOOR = 1e-4


def a_log(routes: int, dim: int, state: int) -> Tensor:
    """log(1..N) for every route and channel, so that A = -exp(A_log) = -1..-N: (K, D, N)."""
    steps = torch.arange(1, state + 1, dtype=torch.float32)
    return torch.log(steps).expand(routes, dim, state).clone()


def dt_weight(routes: int, dim: int, rank: int) -> Tensor:
    """Uniform within +-rank^-0.5, which keeps the variance of the step sizes: (K, D, R)."""
    return torch.empty(routes, dim, rank).uniform_(-(rank**-0.5), rank**-0.5)


def dt_bias(routes: int, dim: int) -> Tensor:
    """The inverse softplus of step sizes drawn log-uniformly from [0.001, 0.1]: (K, D)."""
    spread = math.log(DT_MAX) - math.log(DT_MIN)
    dt = torch.exp(torch.rand(routes, dim) * spread + math.log(DT_MIN)).clamp(min=DT_FLOOR)
    return dt + torch.log(-torch.expm1(-dt))


def x_proj_weight(routes: int, rows: int, dim: int) -> Tensor:
    """As `routes` linear layers of torch's default: uniform within +-D^-0.5: (K, rows, D)."""
    return torch.empty(routes, rows, dim).uniform_(-(dim**-0.5), dim**-0.5)


def decay(a_log: Tensor) -> Tensor:
    """A = -exp(A_log), in float32 at least; same shape."""
    return -torch.exp(a_log.to(torch.promote_types(a_log.dtype, torch.float32)))
