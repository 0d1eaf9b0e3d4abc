"""The matrix LSTM step by step: the definition that the other forms are held to.

For each batch item and head, with S_{-1} = z_{-1} = 0, m_{-1} = -inf and d the head's width:

    m_t = max(logsigmoid(f_t) + m_{t-1}, i_t),    a_t = e^{logsigmoid(f_t) + m_{t-1} - m_t}
    S_t = a_t S_{t-1} + e^{i_t - m_t} k_t v_t^T / sqrt(d)
    z_t = a_t z_{t-1} + e^{i_t - m_t} k_t / sqrt(d)
    h_t = q_t S_t / (max(|q_t z_t|, e^{-m_t}) + eps)

Plain differentiable torch: any device and dtype, derivatives of any order. It is never chosen by
itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# e^{-m} stays below the largest number; gates so far down leave nothing of a result either way
LARGEST = {torch.float32: 80.0, torch.float64: 700.0}


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype of states and sums for data x."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def normalised(numerator: Tensor, total: Tensor, m: Tensor, eps: float) -> Tensor:
    """numerator (..., width) over max(|total|, e^{-m}) + eps, both (...)."""
    least = torch.exp((-m).clamp(max=LARGEST[m.dtype]))
    return numerator / (torch.maximum(total.abs(), least) + eps).unsqueeze(-1)


def mlstm(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, eps: float) -> Tensor:
    """Tensors in the dtype of the states; (batch, heads, length, width), gates without the last."""
    k = k * q.shape[-1] ** -0.5
    forget = F.logsigmoid(f)
    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
    total = q.new_zeros(*q.shape[:2], q.shape[-1])
    m = torch.full_like(i[..., 0], -torch.inf)
    hs = []
    # unbind once: indexing a step at a time would make autograd write a full-size gradient per step
    steps = zip(
        *(x.unbind(2) for x in (q, k, v, i, forget)),
        strict=True,
    )
    for q_t, k_t, v_t, i_t, forget_t in steps:
        above = torch.maximum(forget_t + m, i_t)
        keep = torch.exp(forget_t + m - above)[..., None]
        k_t = k_t * torch.exp(i_t - above)[..., None]
        state = keep[..., None] * state + k_t[..., :, None] * v_t[..., None, :]
        total = keep * total + k_t
        m = above
        numerator = (q_t[..., None, :] @ state).squeeze(-2)
        hs.append(normalised(numerator, (q_t * total).sum(-1), m, eps))
    return torch.stack(hs, 2)
