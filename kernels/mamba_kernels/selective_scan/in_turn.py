"""The chunks of a scan one after another, for devices that start an operator cheaply.

`chunked.py` takes all chunks in step with each other, which needs each exponential twice and fewer,
larger operators. Here a chunk's decays and inputs are formed at once, and each of its steps is a
single multiply-add; every exponential is computed once. Layouts and formulas are `chunked.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .chunked import Problem


def _fill(p: Problem, m: int, du: Tensor, start: Tensor, decay: Tensor, states: Tensor) -> None:
    """Decays and states (T, B, G, N, D) of chunk m from its first state (B, G, N, D)."""
    torch.mul(p.delta[:, :, :, m].unsqueeze(-2), p.A.squeeze(1), out=decay).exp_()
    torch.mul(p.B[:, :, :, m].unsqueeze(-1), du[:, :, :, m].unsqueeze(-2), out=states)
    h = start
    for a, state in zip(decay.unbind(0), states.unbind(0), strict=True):
        h = torch.addcmul(state, a, h, out=state)


def _buffers(p: Problem, number: int) -> list[Tensor]:
    """Places for all states of one chunk: (T, B, G, N, D) each."""
    batch, groups, _, state, dim = p.state_shape
    return [p.u.new_empty(p.u.shape[0], batch, groups, state, dim) for _ in range(number)]


def scan_in_turn(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """As `chunked.scan`."""
    du = p.delta * p.u
    y = torch.empty_like(p.u)
    starts = p.u.new_empty(p.state_shape)
    decay, states = _buffers(p, 2)
    h = torch.zeros_like(states[0])
    for m in range(starts.shape[2]):
        starts[:, :, m] = h
        _fill(p, m, du, h, decay, states)
        h = states[-1].clone()
        y[:, :, :, m] = torch.mul(p.C[:, :, :, m].unsqueeze(-1), states, out=decay).sum(-2)
    return y, h, starts


def gradients_in_turn(
    p: Problem, dy: Tensor, dlast: Tensor | None, starts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """As `chunked.scan_gradients`."""
    product = p.delta * p.u
    du, ddelta = torch.empty_like(p.u), torch.empty_like(p.u)
    dB, dC = torch.empty_like(p.B), torch.empty_like(p.C)
    dA = torch.empty_like(starts)
    decay, states, r, w = _buffers(p, 4)
    later = torch.zeros_like(states[0]) if dlast is None else dlast  # a G of the step after
    for m in reversed(range(starts.shape[2])):
        start, dy_m = starts[:, :, m], dy[:, :, :, m]
        u, delta = p.u[:, :, :, m], p.delta[:, :, :, m]
        _fill(p, m, product, start, decay, states)
        torch.mul(p.C[:, :, :, m].unsqueeze(-1), dy_m.unsqueeze(-2), out=r)
        r[-1] += later
        rs, decays = r.unbind(0), decay.unbind(0)
        for t in range(len(rs) - 2, -1, -1):
            torch.addcmul(rs[t], decays[t + 1], rs[t + 1], out=rs[t])  # G_t
        dC[:, :, :, m] = torch.matmul(states, dy_m.unsqueeze(-1)).squeeze(-1)
        dB[:, :, :, m] = torch.matmul(r, product[:, :, :, m].unsqueeze(-1)).squeeze(-1)
        s = torch.mul(p.B[:, :, :, m].unsqueeze(-1), r, out=w).sum(-2)  # (T, B, G, D)
        r.mul_(decay)  # a_t G_t
        later = r[0].clone()
        torch.mul(r[1:], states[:-1], out=w[1:])
        torch.mul(r[0], start, out=w[0])
        du[:, :, :, m] = s * delta
        ddelta[:, :, :, m] = s.mul_(u).add_(torch.mul(w, p.A.squeeze(1), out=r).sum(-2))
        dA[:, :, m] = w.mul_(delta.unsqueeze(-2)).sum(0)
    return du, ddelta, dA, dB, dC
