"""The matrix LSTM in chunks: the parallel form within each, a state handed from one to the next.

With the state S, z, m of all steps before a chunk (scaled by e^{-m}) and b_t the sum of the log
forget gates from the chunk's first step to t, the steps of the chunk are

    m_t = max(max_s logD_ts, b_t + m)
    numerator_t = sum_s C_ts v_s + e^{b_t + m - m_t} q_t S;   the sum of the weights likewise with z

and the state behind its last step T is e^{b_T + m - m_T} S + sum_s e^{logD_Ts - m_T} k_s v_s^T /
sqrt(d), with m_T its stabiliser. Time and memory grow with the length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .parallel import log_decay
from .reference import normalised

SHORTEST, LONGEST = 64, 256


def steps_of_a_chunk(width: int) -> int:
    """As long as a head is wide, within limits: a state then takes no more than its chunk does."""
    return min(max(width, SHORTEST), LONGEST)


def mlstm(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, eps: float) -> Tensor:
    """Tensors in the dtype of the states; (batch, heads, length, width), gates without the last."""
    length, width = q.shape[2:]
    steps = min(steps_of_a_chunk(width), length)
    count = (length + steps - 1) // steps
    pad = count * steps - length
    # what is added holds nothing: an input gate closed for good, a forget gate wide open
    q, k, v = (F.pad(x, (0, 0, 0, pad)).unflatten(2, (count, steps)) for x in (q, k, v))
    i = F.pad(i, (0, pad), value=-torch.inf).unflatten(2, (count, steps))
    forget = F.pad(F.logsigmoid(f), (0, pad)).unflatten(2, (count, steps))
    k = k * width**-0.5
    log_d = log_decay(i, forget)  # (B, heads, count, steps, steps)
    passed = forget.cumsum(-1)  # (B, heads, count, steps)
    within = log_d.amax(-1)
    kept = torch.exp(log_d[..., -1, :] - within[..., -1:]).unsqueeze(-1) * k
    states, totals, tops = _hand_on(kept.mT @ v, kept.sum(-2), within[..., -1], passed[..., -1])
    before = passed + tops.unsqueeze(-1)
    m = torch.maximum(within, before)
    weights = (q @ k.mT) * torch.exp(log_d - m.unsqueeze(-1))
    seen = q * torch.exp(before - m).unsqueeze(-1)  # q as the state before the chunk meets it
    numerator = weights @ v + seen @ states
    total = weights.sum(-1) + (seen @ totals.unsqueeze(-1)).squeeze(-1)
    return normalised(numerator, total, m, eps).flatten(2, 3)[:, :, :length]


def _hand_on(
    states: Tensor, totals: Tensor, tops: Tensor, passed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What stands before each chunk: state, sum of keys and stabiliser.

    Args:
        states, totals, tops: what each chunk alone leaves: (B, heads, count, width, width), (B,
            heads, count, width) and (B, heads, count).
        passed: (B, heads, count), the log decay over each chunk.
    """
    state, total = torch.zeros_like(states[:, :, 0]), torch.zeros_like(totals[:, :, 0])
    m = torch.full_like(tops[:, :, 0], -torch.inf)
    found = []
    chunks = zip(*(x.unbind(2) for x in (states, totals, tops, passed)), strict=True)
    for state_c, total_c, m_c, passed_c in chunks:
        found.append((state, total, m))
        top = torch.maximum(passed_c + m, m_c)
        old, new = torch.exp(passed_c + m - top)[..., None], torch.exp(m_c - top)[..., None]
        state = old[..., None] * state + new[..., None] * state_c
        total = old * total + new * total_c
        m = top
    states, totals, tops = zip(*found, strict=True)
    return torch.stack(states, 2), torch.stack(totals, 2), torch.stack(tops, 2)
