"""The selective scan in plain torch: any device, any dtype; the fallback and the float64 path.

The steps are cut into M chunks of T = 64. On a CPU the chunks follow each other (`in_turn.py`).
Elsewhere starting an operator is dear, and one loop over the T positions serves all chunks at once:
first each chunk's end state from zero, then a short loop over the chunks carries the true states,
then the same loop again from those. The backward pass mirrors it and recomputes the states in
blocks, so that nothing of size (batch, dim, length, state) is ever stored.

Layout inside: position in the chunk first, channels last. u and delta (T, B, G, M, D), B and C
(T, B, G, M, N), A (G, 1, N, D), states (B, G, M, N, D); B batch, G groups, M chunks, D channels of
a group. Steps that pad the last chunk have delta = 0: they change no state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checks import CHECKPOINT
from .in_turn import gradients_in_turn, scan_in_turn

IN_TURN = ('cpu',)  # device types whose chunks follow each other
BLOCK = 8  # steps whose states are recomputed together in the backward pass


def unavailable() -> str | None:
    """Nothing: torch is all it needs."""
    return None


def unsupported(*_tensors: Tensor | None) -> str | None:
    """Nothing: every device and dtype of torch."""
    return None


def compute_dtype(x: Tensor) -> torch.dtype:
    """What the state of a scan over x is kept in: float64 for float64, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


@dataclass
class Problem:
    """One scan in the layout above, in the dtype it is computed in; step sizes are final."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor

    @property
    def state_shape(self) -> tuple[int, ...]:
        _, batch, groups, chunks, dim = self.u.shape
        return batch, groups, chunks, self.B.shape[-1], dim

    def decay(self, t: int, out: Tensor) -> Tensor:
        """exp(delta_t A) of position t of every chunk: (B, G, M, N, D)."""
        return torch.mul(self.delta[t].unsqueeze(-2), self.A, out=out).exp_()

    def chunk_decay(self) -> Tensor:
        """The decay over whole chunks: (B, G, M, N, D)."""
        return torch.exp(self.delta.sum(0).unsqueeze(-2) * self.A)

    def advance(self, t: int, h: Tensor, decay: Tensor, du: Tensor) -> Tensor:
        """One step of the recurrence, in place."""
        self.decay(t, decay)
        return h.mul_(decay).addcmul_(self.B[t].unsqueeze(-1), du[t].unsqueeze(-2))


def chunk(x: Tensor) -> Tensor:
    """(B, G, S, D) to (T, B, G, M, D), zero beyond the last step."""
    steps = x.shape[2]
    chunks = -(-steps // CHECKPOINT)
    if chunks == 1:
        return x.permute(2, 0, 1, 3).unsqueeze(3).contiguous()
    x = F.pad(x, (0, 0, 0, chunks * CHECKPOINT - steps))
    return x.unflatten(2, (chunks, CHECKPOINT)).permute(3, 0, 1, 2, 4).contiguous()


def unchunk(x: Tensor, steps: int) -> Tensor:
    """(T, B, G, M, D) back to (B, G, S, D)."""
    return x.permute(1, 2, 3, 0, 4).flatten(2, 3)[:, :, :steps]


def scan(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """y (T, B, G, M, D) without the skip, last state (B, G, N, D), states at the chunks' starts."""
    if p.u.device.type in IN_TURN:
        return scan_in_turn(p)
    du = p.delta * p.u
    starts = _starts(p, du)
    h = starts.clone()
    decay = torch.empty_like(h)
    y = torch.empty_like(p.u)
    for t in range(p.u.shape[0]):
        p.advance(t, h, decay, du)
        torch.matmul(p.C[t].unsqueeze(-2), h, out=y[t].unsqueeze(-2))  # sum over N
    return y, h[:, :, -1], starts


def _starts(p: Problem, du: Tensor) -> Tensor:
    """The true state at the start of every chunk: (B, G, M, N, D)."""
    starts = p.u.new_zeros(p.state_shape)
    if starts.shape[2] == 1:
        return starts
    h = torch.zeros_like(starts)
    decay = torch.empty_like(h)
    for t in range(p.u.shape[0]):
        p.advance(t, h, decay, du)
    whole = p.chunk_decay()
    for m in range(1, starts.shape[2]):
        starts[:, :, m] = whole[:, :, m - 1] * starts[:, :, m - 1] + h[:, :, m - 1]
    return starts


def _messages(p: Problem, dy: Tensor, dlast: Tensor | None) -> Tensor:
    """dL/dh that reaches the end of every chunk from later ones: (B, G, M, N, D)."""
    ends = p.u.new_zeros(p.state_shape)
    if dlast is not None:
        ends[:, :, -1] = dlast
    if ends.shape[2] == 1:
        return ends
    r = torch.zeros_like(ends)
    decay = torch.empty_like(r)
    for t in reversed(range(p.u.shape[0])):
        r.addcmul_(p.C[t].unsqueeze(-1), dy[t].unsqueeze(-2)).mul_(p.decay(t, decay))
    whole = p.chunk_decay()
    for m in reversed(range(1, ends.shape[2])):
        ends[:, :, m - 1] = r[:, :, m] + whole[:, :, m] * ends[:, :, m]
    return ends


def _blocks(p: Problem, du: Tensor, starts: Tensor) -> Iterator[tuple[range, list[Tensor]]]:
    """Positions in blocks, last block first, with the states before each and after the last."""
    steps = p.u.shape[0]
    decay = torch.empty_like(starts)
    anchors, h = [], starts.clone()
    for t in range(steps):
        if t % BLOCK == 0:
            anchors.append(h.clone())
        p.advance(t, h, decay, du)
    for first in range((len(anchors) - 1) * BLOCK, -1, -BLOCK):
        positions = range(first, min(first + BLOCK, steps))
        states = [anchors.pop()]
        for t in positions:
            states.append(p.advance(t, states[-1].clone(), decay, du))
        yield positions, states


def scan_gradients(
    p: Problem, dy: Tensor, dlast: Tensor | None, starts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, delta, A (B, G, M, N, D per chunk), B and C; section 1.2 of the paper's S6.

    With G_t = dL/dh_t and w_t = G_t a_t h_{t-1}: dC = dy h, dB = (delta u) G, s = G B,
    du = delta s, ddelta = u s + sum_n A w, dA = sum_t delta w.
    """
    if p.u.device.type in IN_TURN:
        return gradients_in_turn(p, dy, dlast, starts)
    product = p.delta * p.u
    r = _messages(p, dy, dlast)
    du, ddelta = torch.empty_like(p.u), torch.empty_like(p.u)
    dB, dC = torch.empty_like(p.B), torch.empty_like(p.C)
    dA = torch.zeros_like(r)
    decay = torch.empty_like(r)
    for positions, states in _blocks(p, product, starts):
        for t in reversed(positions):
            before, after = states[t - positions.start], states[t - positions.start + 1]
            r.addcmul_(p.C[t].unsqueeze(-1), dy[t].unsqueeze(-2))  # G_t
            torch.matmul(after, dy[t].unsqueeze(-1), out=dC[t].unsqueeze(-1))
            torch.matmul(r, product[t].unsqueeze(-1), out=dB[t].unsqueeze(-1))
            s = torch.matmul(p.B[t].unsqueeze(-2), r).squeeze(-2)  # (B, G, M, D)
            r.mul_(p.decay(t, decay))  # a_t G_t, what goes on to t - 1
            w = torch.mul(before, r, out=decay)
            dA.addcmul_(w, p.delta[t].unsqueeze(-2))
            torch.mul(s, p.delta[t], out=du[t])
            torch.mul(s, p.u[t], out=ddelta[t])
            ddelta[t] += w.mul_(p.A).sum(-2)
    return du, ddelta, dA, dB, dC


def activate(delta: Tensor, bias: Tensor | None, softplus: bool) -> tuple[Tensor, Tensor | None]:
    """Final step sizes, and the raw ones that a softplus's gradient needs."""
    if bias is not None:
        delta = delta + bias
    return (F.softplus(delta), delta) if softplus else (delta, None)


def deactivate(ddelta: Tensor, raw: Tensor | None) -> Tensor:
    """The gradient of the raw step sizes."""
    return ddelta if raw is None else ddelta * torch.sigmoid(raw)


def _problem(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> tuple[Problem, Tensor | None]:
    dtype, groups = compute_dtype(u), B.shape[1]
    A = A.to(dtype).unflatten(0, (groups, -1)).transpose(1, 2).unsqueeze(1)  # (G, 1, N, D)
    bias = None if delta_bias is None else delta_bias.to(dtype)
    delta, raw = activate(delta.to(dtype).transpose(1, 2), bias, delta_softplus)
    B, C = (chunk(t.to(dtype).transpose(2, 3)) for t in (B, C))
    u = u.to(dtype).transpose(1, 2)
    problem = Problem(_split(u, groups), _split(delta, groups), A.contiguous(), B, C)
    return problem, raw


def _split(x: Tensor, groups: int) -> Tensor:
    """(batch, length, dim) to chunks with the groups apart: (T, B, G, M, D)."""
    return chunk(x.unflatten(2, (groups, -1)).transpose(1, 2))


def _join(x: Tensor, length: int) -> Tensor:
    """(T, B, G, M, D) to (batch, dim, length)."""
    return unchunk(x, length).transpose(2, 3).flatten(1, 2)


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
) -> tuple[Tensor, Tensor, Tensor]:
    """y (batch, dim, length), last state (batch, dim, state), states (batch, tiles, state, dim)."""
    problem, _ = _problem(u, delta, A, B, C, delta_bias, delta_softplus)
    y, last, starts = scan(problem)
    out = _join(y, u.shape[2])
    if D is not None:
        out = out + D.to(out.dtype)[:, None] * u.to(out.dtype)
    states = starts.new_empty(0)
    if save_states:
        states = starts.permute(0, 2, 3, 1, 4).flatten(3).contiguous()
    last = last.transpose(2, 3).flatten(1, 2)  # (batch, dim, state)
    return out.to(out_dtype).contiguous(), last.contiguous(), states


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
) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, each in its tensor's dtype."""
    dtype, groups, length = compute_dtype(u), B.shape[1], u.shape[2]
    problem, raw = _problem(u, delta, A, B, C, delta_bias, delta_softplus)
    starts = states.unflatten(3, (groups, -1)).permute(0, 3, 1, 2, 4).contiguous()
    dy = dy.to(dtype)
    if dlast is not None:
        dlast = dlast.to(dtype).unflatten(1, (groups, -1)).transpose(2, 3)  # (B, G, N, D)
    grads = scan_gradients(problem, _split(dy.transpose(1, 2), groups), dlast, starts)
    du, ddelta, dA, dB, dC = grads
    du, ddelta = _join(du, length), _join(ddelta, length)
    ddelta = deactivate(ddelta, None if raw is None else raw.transpose(1, 2))
    dD = None
    if D is not None:
        dD = (dy * u.to(dtype)).sum((0, 2)).to(D.dtype)
        du = du + D.to(dtype)[:, None] * dy
    dA = dA.sum((0, 2)).transpose(1, 2).flatten(0, 1)  # (dim, state)
    dB, dC = (unchunk(t, length).transpose(2, 3) for t in (dB, dC))  # (B, G, N, length)
    dbias = None if delta_bias is None else ddelta.sum((0, 2)).to(delta_bias.dtype)
    inputs = (u, delta, A, B, C)
    own = [
        g.to(t.dtype).contiguous() for g, t in zip((du, ddelta, dA, dB, dC), inputs, strict=True)
    ]
    return *own, dD, dbias
