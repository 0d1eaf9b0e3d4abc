"""The selective scan by the C++ kernels: channels in SIMD lanes, states in registers, math in fp32.

Formulas and structure are in `csrc/scan_tile.h` and `csrc/selective_scan.cpp`; here inputs become
fp32 and get the layout that the kernels read, and partial sums over chunks of channels and over the
batch are added in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import build
from ..checks import CHECKPOINT

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MOST_STATES = 64


def unavailable() -> str | None:
    """Why the C++ kernels cannot run here, None if they can; builds them at the first call."""
    return build.load()


def unsupported(*tensors: Tensor | None) -> str | None:
    """Why these very tensors cannot be served, None if they can."""
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.device.type != 'cpu':
            return f'a tensor is on {tensor.device}; the C++ kernels serve cpu'
        if tensor.is_floating_point() and tensor.dtype not in DTYPES:
            served = ', '.join(str(dtype) for dtype in DTYPES)
            return f'{tensor.dtype} is not served; served: {served}'
    return None


def chunks_of_channels(items: int, channels: int) -> int:
    """Into how many chunks a backward pass splits the channels: by sizes, never by threads.

    Few chunks share more work over their blocks of channels, many give threads more to do: about
    four tasks, an even number of them, of two to six blocks, so that a chunk stays in cache.
    """
    blocks = -(-channels // torch.ops.mamba_kernels_cpu.lanes())
    least = -(-blocks // 6)
    chunks = max(min(-(-4 // max(items, 1)), blocks // 2), least, 1)
    if chunks * items % 2:
        chunks += -1 if chunks > max(least, 1) else 1
    return min(chunks, blocks)


def _rows(tensor: Tensor) -> Tensor:
    """fp32 with a dense last axis."""
    tensor = tensor.float()
    return tensor if tensor.stride(-1) == 1 or tensor.size(-1) == 1 else tensor.contiguous()


def _steps_first(tensor: Tensor) -> Tensor:
    """(batch, groups, state, length) -> (batch, groups, length, state); length 1 if constant."""
    if tensor.stride(-1) == 0:
        tensor = tensor[..., :1]
    return tensor.transpose(-1, -2).float().contiguous()


def _optional(tensor: Tensor | None, like: Tensor) -> Tensor:
    """The C++ side reads an empty tensor as absent."""
    return like.new_empty(0, dtype=torch.float32) if tensor is None else tensor.float().contiguous()


def _prepare(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
) -> tuple[Tensor, ...]:
    if A.size(1) > MOST_STATES:
        raise ValueError(
            f'A has state={A.size(1)}; the cpu backend serves 1 to {MOST_STATES}: '
            'use backend="chunked"'
        )
    A = A.float().contiguous()
    B, C = _steps_first(B), _steps_first(C)
    return _rows(u), _rows(delta), A, B, C, _optional(D, A), _optional(delta_bias, A)


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
    """u, delta (batch, dim, length), B, C (batch, groups, state, length) -> y, last, states."""
    batch, dim, length = u.shape
    state = A.size(1)
    y = u.new_empty((batch, dim, length), dtype=torch.float32)
    last_state = y.new_empty((batch, dim, state))
    states = y.new_empty((batch, -(-length // CHECKPOINT), state, dim) if save_states else 0)
    inputs = _prepare(u, delta, A, B, C, D, delta_bias)
    torch.ops.mamba_kernels_cpu.selective_forward(*inputs, delta_softplus, y, last_state, states)
    return y.to(out_dtype), last_state, states


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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of all inputs, each in its input's dtype."""
    batch, dim, length = u.shape
    groups, state = B.size(1), A.size(1)
    inputs = _prepare(u, delta, A, B, C, D, delta_bias)
    du = u.new_empty((batch, dim, length), dtype=torch.float32)
    ddelta = torch.empty_like(du)
    dA = du.new_empty((batch, dim, state))
    chunks = chunks_of_channels(batch * groups, dim // groups)
    dB = du.new_empty((chunks, batch, groups, length, state))
    dC = torch.empty_like(dB)
    dD = du.new_empty((batch, dim) if D is not None else 0)
    dbias = du.new_empty((batch, dim) if delta_bias is not None else 0)
    torch.ops.mamba_kernels_cpu.selective_backward(
        dy.float().contiguous(),
        _optional(dlast, du),
        *inputs,
        delta_softplus,
        states,
        *(du, ddelta, dA, dB, dC, dD, dbias),
    )
    return (
        du.to(u.dtype),
        ddelta.to(delta.dtype),
        dA.sum(0).to(A.dtype),
        dB.sum(0).mT.to(B.dtype).contiguous(),  # (batch, groups, state, length)
        dC.sum(0).mT.to(C.dtype).contiguous(),
        None if D is None else dD.sum(0).to(D.dtype),
        None if delta_bias is None else dbias.sum(0).to(delta_bias.dtype),
    )
