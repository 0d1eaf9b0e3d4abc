"""Launching the kernels of triton_scan and triton_chunks: what both ops allocate, choose and sum.

Imports Triton at the first launch, never before.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass

import torch
from torch import Tensor

from . import launch_table
from .checks import CHECKPOINT

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LOW_RANK = 16  # up to this rank the step sizes are formed inside the kernels, above by a product

WEIGHTS = 512  # numbers of the low-rank weight that a program can hold beside its state,
BESIDE_LARGE = {32: 128, 64: 128}  # and beside a large one: 16 ranks by 16 channels spilled at 32


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
    the tokens in their order. `chunks` forces the number of chunks of a route.
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
    chunks: int | None = None

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, int]:
        """batch, length, steps, dim, routes, rank, state"""
        batch, length, routes, _ = self.params.shape
        steps = length if self.table is None else self.table.shape[1]
        rank = 0 if self.weight is None else self.weight.shape[1]
        return batch, length, steps, self.A.shape[2], routes, rank, self.A.shape[1]

    @property
    def launch(self) -> launch_table.Launch:
        """How it is cut: by the table, no call tunes."""
        gpu = torch.cuda.get_device_name(self.x.device) if self.x.is_cuda else ''
        return launch_table.find(gpu, power_of_two(self.sizes[-1]))

    def block(self) -> int:
        """Channels a program: the most that leave programs enough, without chunks if it can be."""
        _, _, steps, dim, _, rank, state = self.sizes
        launch = self.launch
        widths = fitting(launch.blocks, state, rank)
        most = max(1, steps // launch.shortest)
        whole = [w for w in widths if self.programs(w) >= launch.parallel]
        cut = [w for w in widths if self.programs(w) * most >= launch.fill]
        return max(8, min((whole or cut or widths[-1:])[0], power_of_two(dim)))

    def programs(self, block: int | None = None) -> int:
        """Programs of one chunk each."""
        batch, _, _, dim, routes, _, _ = self.sizes
        return batch * routes * -(-dim // (block or self.block()))

    def span(self) -> int:
        """Steps of a chunk: whole tiles, the whole route where programs abound."""
        steps, programs = self.sizes[2], max(1, self.programs())
        chunks, shortest, launch = self.chunks, CHECKPOINT, self.launch
        if chunks is None:
            chunks = 1 if programs >= launch.parallel else -(-launch.fill // programs)
            shortest = launch.shortest
        span = max(shortest, -(-steps // chunks))
        return -(-span // CHECKPOINT) * CHECKPOINT

    def grid(self) -> tuple[int, int]:
        return self.programs(), -(-self.sizes[2] // self.span())

    def operands(self) -> tuple[Tensor, ...]:
        """Pointers in the kernels' order; for one that is switched off any other stands in."""
        unused = self.bias
        return (
            self.x, self.params, unused if self.delta is None else self.delta,
            unused if self.weight is None else self.weight, self.bias, self.A, self.D,
            unused if self.table is None else self.table,
        )  # fmt: skip

    def scalars(self) -> tuple[int, ...]:
        _, length, steps, dim, routes, _, _ = self.sizes
        own = self.x.dim() == 4
        return length, steps, self.span(), dim, routes, dim * (routes if own else 1), dim * own

    def constants(self) -> dict[str, int | bool]:
        _, _, _, _, _, rank, state = self.sizes
        return {
            'rank': rank,
            'state': state,
            'RANK': power_of_two(rank) if rank else 0,
            'STATE': power_of_two(state),
            'BLOCK': self.block(),
            'TABLE': self.table is not None,
            'SOFTPLUS': self.softplus,
            'num_warps': self.launch.warps,
            'enable_fp_fusion': True,
        }

    def buffer(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Memory by tokens: zeroed where routes leave tokens out, else wholly written."""
        _, length, steps, *_ = self.sizes
        make = torch.empty if steps == length else torch.zeros
        return make(shape, dtype=dtype, device=self.x.device)


def fitting(blocks: tuple[int, ...], state: int, rank: int) -> list[int]:
    """Those of the widths that leave registers for the low-rank weight, else the one that does."""
    held = BESIDE_LARGE.get(power_of_two(state), WEIGHTS) // power_of_two(rank or 1)
    return [width for width in blocks if width <= held] or [held]


def power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def on_device(tensor: Tensor) -> contextlib.AbstractContextManager:
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def carry(scan: Scan, value: Tensor, dlast: Tensor | None) -> Tensor:
    """What crosses the borders of the chunks: states, or backwards from dlast their gradients.

    (batch, routes, chunks - 1, state, dim); value is x, or dy.
    """
    from .triton_chunks import carry_chunks, chunk_ends

    batch, _, _, dim, routes, _, state = scan.sizes
    programs, chunks = scan.grid()
    ends = scan.x.new_empty((batch, routes, chunks - 1, state, dim), dtype=torch.float32)
    if chunks == 1:
        return ends
    totals = scan.x.new_empty((batch, routes, chunks - 1, dim), dtype=torch.float32)
    constants, reverse = scan.constants(), dlast is not None
    _, params, delta, weight, bias, A, _, table = scan.operands()
    chunk_ends[(programs, chunks - 1)](
        value, params, delta, weight, bias, A, table, ends, totals,
        *scan.scalars(), **constants, REVERSE=reverse,
    )  # fmt: skip
    for name in ('rank', 'RANK', 'TABLE', 'SOFTPLUS'):
        constants.pop(name)
    carry_chunks[(programs,)](
        A, dlast if reverse else A, ends, totals, chunks - 1, dim, routes,
        **constants, REVERSE=reverse,
    )  # fmt: skip
    return ends


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
            scan_forward[scan.grid()](
                *scan.operands(), carry(scan, scan.x, None), y, states, last,
                *scan.scalars(), **scan.constants(), TILE=CHECKPOINT, SAVE=save_states,
            )  # fmt: skip
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
        programs, chunks = scan.grid()
        numbers = programs * chunks * CHECKPOINT * power_of_two(state) * block
        history = scan.x.new_empty(numbers, dtype=torch.float32)
        with on_device(scan.x):
            arriving = torch.cat((carry(scan, dy, dlast), dlast.unsqueeze(2)), dim=2)
            scan_backward[scan.grid()](
                dy, arriving, *scan.operands(), states, history,
                dx, ddelta, dparams, dweight, dbias, dA, dD,
                *scan.scalars(), batch * length * routes * width,
                **scan.constants(), TILE=CHECKPOINT,
            )  # fmt: skip
    sums = {'weight': dweight, 'bias': dbias, 'A': dA, 'D': dD}
    sums = {name: partial_sums.sum((0, 2)) for name, partial_sums in sums.items()}
    return {'x': dx, 'delta': ddelta, 'params': dparams.sum(0), **sums}
