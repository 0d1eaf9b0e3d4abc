"""The cost of the scans by their sizes, and its registration with torch's FLOP counter.

The field counts a scan as 9 B L D N + B D L, D over all routes (VMamba's and Vim's own counters);
these stand beside multiply-adds of the other layers, so they are no exact operation counts.
"""

from collections.abc import Sequence

import torch
from torch.utils.flop_counter import register_flop_formula

from .mlstm.chunked import steps_of_a_chunk
from .mlstm.op import form_of, implementation

Shape = Sequence[int]


def selective_scan_flops(batch: int, dim: int, length: int, state: int) -> int:
    """9 B L D N + B D L: the scan with its skip."""
    return 9 * batch * length * dim * state + batch * dim * length


def route_scan_flops(batch: int, dim: int, steps: int, state: int, routes: int) -> int:
    """The scans of all routes in the field's convention, without the step-size projection."""
    return selective_scan_flops(batch, routes * dim, steps, state)


def step_size_macs(batch: int, dim: int, steps: int, rank: int, routes: int) -> int:
    """Multiply-adds of the low-rank step sizes that `route_scan` forms inside."""
    return batch * steps * routes * dim * rank


def mlstm_flops(batch: int, heads: int, length: int, width: int, form: str | None = None) -> int:
    """Two operations a multiply-add of the matrix LSTM's products, as torch's counter has them.

    Args:
        batch, heads, length, width: sizes of its queries.
        form: 'parallel', 'chunked' or 'reference'; by default the one that serves the length.

    Raises:
        ValueError: another form.
    """
    form = form_of(length) if form is None else form
    implementation(form)
    if form == 'reference':  # the state's outer product is no product of matrices
        return 2 * batch * heads * length * width**2
    steps = length if form == 'parallel' else min(steps_of_a_chunk(width), length)
    count = -(-length // steps)
    pairs = 4 * steps**2 * width  # queries with keys, weights with values
    state = 0 if form == 'parallel' else steps * (4 * width**2 + 2 * width)
    return batch * heads * count * (pairs + state)


def register() -> None:
    """Teach `torch.utils.flop_counter.FlopCounterMode` the operators of this package.

    The counter counts two operations a multiply-add, so the step sizes enter twice; a backward
    pass is taken as two forward ones, as the counter does for its own layers.
    """
    ops = torch.ops.mamba_kernels

    def selective(u: Shape, _delta: Shape, A: Shape, *_: object, **__: object) -> int:
        return selective_scan_flops(*u, A[1])

    def routed(
        x: Shape, _params: Shape, dt_weight: Shape, _bias: Shape, A: Shape, _D: Shape, table: Shape,
        *_: object, **__: object,
    ) -> int:  # fmt: skip
        batch, _, dim = x
        routes, steps = table
        inside = 2 * step_size_macs(batch, dim, steps, dt_weight[2], routes)
        return inside + route_scan_flops(batch, dim, steps, A[2], routes)

    def selective_back(_dy: Shape, _dlast: Shape, *shapes: object, **__: object) -> int:
        return 2 * selective(*shapes)

    def routed_back(_dy: Shape, *shapes: object, **__: object) -> int:
        return 2 * routed(*shapes)

    register_flop_formula(ops.selective_scan_forward)(selective)
    register_flop_formula(ops.selective_scan_backward)(selective_back)
    register_flop_formula(ops.route_scan_forward)(routed)
    register_flop_formula(ops.route_scan_backward)(routed_back)
