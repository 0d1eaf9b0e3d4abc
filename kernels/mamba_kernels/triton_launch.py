"""Launching the kernels of triton_scan: what both ops allocate, choose and sum.

Imports Triton at the first launch, never before.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import CHECKPOINT

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LOW_RANK = 16  # up to this rank the step sizes are formed inside the kernels, above by a product
REGISTER_TILE = 512  # numbers of a state or weight tile: 16 a lane, more would spill in the sweep
FULL_MACHINE = 1056  # programs of one warp that give a large GPU's schedulers two warps each


def interpreted() -> bool:
    return os.environ.get('TRITON_INTERPRET', '0').lower() in ('1', 'true', 'on')


def unavailable() -> str | None:
    """Why the Triton kernels cannot run here, None where they can."""
    if importlib.util.find_spec('triton') is None:
        return 'Triton is not installed (pip install triton)'
    if not torch.cuda.is_available() and not interpreted():
        return 'no CUDA device is available (TRITON_INTERPRET=1 interprets the kernels on the CPU)'
    return None


def unsupported(*tensors: Tensor | None) -> str | None:
    """Why this very call cannot be served, None if it can."""
    for tensor in tensors:
        if tensor is None or not tensor.is_floating_point():
            continue
        if tensor.dtype not in DTYPES:
            return f'dtype {tensor.dtype} is not served; float16, bfloat16 and float32 are'
        if tensor.device.type != 'cuda' and not interpreted():
            return f'a tensor is on {tensor.device}; the kernels run on cuda'
    return None


@dataclass(frozen=True)
class Scan:
    """The operands of one launch, in the layouts that triton_scan describes.

    x (batch, length, dim) read by every route, or (batch, length, routes, dim); params (batch,
    length, routes, rank + 2 state); A (routes, state, dim); bias and D (routes, dim); either weight
    (routes, rank, dim) or delta (batch, length, routes, dim); table (routes, steps), or None for
    the tokens in their order.
    """

    x: Tensor
    params: Tensor
    A: Tensor
    bias: Tensor
    D: Tensor
    weight: Tensor | None = None
    delta: Tensor | None = None
    table: Tensor | None = None
    softplus: bool = True

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, int]:
        """batch, length, steps, dim, routes, rank, state"""
        batch, length, routes, _ = self.params.shape
        steps = length if self.table is None else self.table.shape[1]
        rank = 0 if self.weight is None else self.weight.shape[1]
        return batch, length, steps, self.A.shape[2], routes, rank, self.A.shape[1]

    def block(self) -> int:
        """Channels a program: as many as its registers hold, 32 unless programs abound."""
        batch, _, _, dim, routes, rank, state = self.sizes
        wide = 64 if batch * routes * -(-dim // 64) >= FULL_MACHINE else 32
        held = REGISTER_TILE // power_of_two(max(state, rank))
        return max(8, min(wide, held, power_of_two(dim)))

    def programs(self) -> int:
        batch, _, _, dim, routes, _, _ = self.sizes
        return batch * routes * -(-dim // self.block())

    def operands(self) -> tuple[Tensor, ...]:
        """Pointers in the kernels' order; for one that is switched off any other stands in."""
        unused = self.bias
        return (
            self.x, self.params, unused if self.delta is None else self.delta,
            unused if self.weight is None else self.weight, self.bias, self.A, self.D,
            unused if self.table is None else self.table,
        )  # fmt: skip

    def scalars(self) -> tuple[int, ...]:
        _, length, steps, dim, routes, rank, state = self.sizes
        own = self.x.dim() == 4
        return length, steps, dim, routes, rank, state, dim * (routes if own else 1), dim * own

    def constants(self) -> dict[str, int | bool]:
        _, _, _, _, _, rank, state = self.sizes
        return {
            'RANK': power_of_two(rank) if rank else 0,
            'STATE': power_of_two(state),
            'BLOCK': self.block(),
            'TILE': CHECKPOINT,
            'TABLE': self.table is not None,
            'SOFTPLUS': self.softplus,
            'num_warps': 1,
            'enable_fp_fusion': True,
        }

    def buffer(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Memory by tokens: zeroed where routes leave tokens out, else wholly written."""
        _, length, steps, *_ = self.sizes
        make = torch.empty if steps == length else torch.zeros
        return make(shape, dtype=dtype, device=self.x.device)


def power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def on_device(tensor: Tensor) -> contextlib.AbstractContextManager:
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def launch_forward(
    scan: Scan, out_dtype: torch.dtype, save_states: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y (batch, length, routes, dim), last state (batch, routes, state, dim), states by tile."""
    from .triton_scan import scan_forward

    batch, length, steps, dim, routes, _, state = scan.sizes
    y = scan.buffer(batch, length, routes, dim, dtype=out_dtype)
    last = scan.x.new_zeros((batch, routes, state, dim), dtype=torch.float32)
    tiles = -(-steps // CHECKPOINT) if save_states else 0
    states = scan.x.new_empty((batch, routes, tiles, state, dim), dtype=torch.float32)
    if scan.programs() and steps:
        with on_device(scan.x):
            scan_forward[(scan.programs(),)](
                *scan.operands(),
                y,
                states,
                last,
                *scan.scalars(),
                SAVE=save_states,
                **scan.constants(),
            )
    return y, last, states


def launch_backward(scan: Scan, dy: Tensor, dlast: Tensor, states: Tensor) -> dict[str, Tensor]:
    """Float32 gradients in the layouts of the operands; those of x and delta for each route."""
    from .triton_scan import scan_backward

    batch, length, steps, dim, routes, rank, state = scan.sizes
    tiles, block = -(-steps // CHECKPOINT), scan.block()
    width = rank + 2 * state
    dx = scan.buffer(batch, length, routes, dim)
    ddelta = scan.buffer(batch, length, routes, dim) if rank == 0 else dx
    dparams = scan.buffer(-(-dim // block), batch, length, routes, width)

    def partial(*shape: int) -> Tensor:
        return scan.x.new_empty((batch, routes, tiles, *shape), dtype=torch.float32)

    dweight, dbias, dA, dD = partial(rank, dim), partial(dim), partial(state, dim), partial(dim)
    if scan.programs() and steps:
        history = scan.x.new_empty(
            scan.programs() * CHECKPOINT * power_of_two(state) * block, dtype=torch.float32
        )
        with on_device(scan.x):
            scan_backward[(scan.programs(),)](
                dy, dlast, *scan.operands(), states, history,
                dx, ddelta, dparams, dweight, dbias, dA, dD,
                *scan.scalars(), batch * length * routes * width, **scan.constants(),
            )  # fmt: skip
    sums = {'weight': dweight, 'bias': dbias, 'A': dA, 'D': dD}
    sums = {name: partial_sums.sum((0, 2)) for name, partial_sums in sums.items()}
    return {'x': dx, 'delta': ddelta, 'params': dparams.sum(0), **sums}
