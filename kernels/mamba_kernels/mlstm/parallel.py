"""The matrix LSTM as one product over all pairs of steps: time and memory grow with length^2.

    logD_ts = sum_{s<r<=t} logsigmoid(f_r) + i_s  for s <= t, else -inf;  m_t = max_s logD_ts
    C_ts = (q_t . k_s / sqrt(d)) e^{logD_ts - m_t}
    h_t = sum_s C_ts v_s / (max(|sum_s C_ts|, e^{-m_t}) + eps)

The sums of the forget gates are taken from s to t each, not as differences of sums from the start,
so that a long past of closed gates costs no digits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .reference import normalised


def log_decay(i: Tensor, forget: Tensor) -> Tensor:
    """logD (..., length, length) of the input gates i and log forget gates (..., length)."""
    length = i.shape[-1]
    ones = torch.ones(length, length, dtype=torch.bool, device=i.device)
    # row r, column s holds forget_r where r > s: summed down to row t it is the decay from s to t
    between = forget.unsqueeze(-1).masked_fill(~ones.tril(-1), 0.0).cumsum(-2)
    return (between + i.unsqueeze(-2)).masked_fill(~ones.tril(), -torch.inf)


def mlstm(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, eps: float) -> Tensor:
    """Tensors in the dtype of the states; (batch, heads, length, width), gates without the last."""
    log_d = log_decay(i, F.logsigmoid(f))
    m = log_d.amax(-1)
    weights = (q @ k.mT) * q.shape[-1] ** -0.5 * torch.exp(log_d - m.unsqueeze(-1))
    return normalised(weights @ v, weights.sum(-1), m, eps)
