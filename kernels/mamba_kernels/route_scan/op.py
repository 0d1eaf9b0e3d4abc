"""The routed scan: signature, checks, dispatch and its torch.library operators.

For every batch item, route k and step t, with token p = routes[k, t]:

    delta   = softplus(dt_weight[k] dt_p + dt_bias[k])
    h_t     = exp(delta A[k]) h_{t-1} + delta B_p x_p,  h_{-1} = 0
    y[p]   += C_p . h_t + D[k] x_p

It is VMamba's SS2D core (arXiv 2401.10166, section 4.2) without the copies: projections commute
with a permutation of the tokens, so `params` is computed once in token order and read through the
routes.
"""

import math
import weakref
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from .. import dispatch
from ..checks import (
    CHECKPOINT,
    check_axes,
    check_dtype,
    check_route_scan,
    check_table,
    check_tensors,
)
from ..selective_scan.chunked import compute_dtype
from ..selective_scan.op import refuse_double_backward
from .reference import route_scan as reference

NAME = 'route_scan'
SETS = ('forward', 'bidirectional', 'cross')
MOST_TOKENS = 2**31 - 1  # a table's int32 names no more

Routes = Tensor | str | tuple[str, tuple[int, ...]]


def route_scan(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    routes: Routes,
    *,
    out_dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Tensor:
    """Scan the tokens along every route and add the results up.

    Args:
        x: tokens (batch, tokens, dim), float16, bfloat16, float32 or float64.
        params: (batch, tokens, routes, rank + 2 state), for each token and route [dt | B | C].
        dt_weight: (routes, dim, rank), from low-rank to full step sizes.
        dt_bias, D: (routes, dim).
        A: (routes, dim, state), negative.
        routes: int32 table (routes, steps) of tokens, distinct on each route, steps <= tokens
            (tokens on no route get 0); or a standard set: 'forward' (one route), 'bidirectional'
            (forward, reversed), ('cross', (H, W)) (rows, columns, both reversed).
        out_dtype: dtype of the result, by default that of x.
        backend: 'triton', 'cpu', 'chunked' or 'reference'; by default the best that can serve.

    Returns:
        y (batch, tokens, dim).

    Raises:
        TypeError: a tensor is complex or of a dtype without arithmetic; routes are no int32.
        ValueError: shapes, devices or routes do not fit, or a name is unknown.
        RuntimeError: the backend asked for by name cannot serve this call.

    The state is kept in float32 at least. First derivatives only; for double backward take
    backend='reference'.
    """
    tensors = (x, params, dt_weight, dt_bias, A, D)
    table = _table(routes, x)
    check_route_scan(*tensors, table)
    if out_dtype is not None:
        check_dtype('out_dtype', out_dtype)
    if isinstance(routes, Tensor) and not torch.compiler.is_compiling():
        _check_values(table, x.shape[1])
    chosen = dispatch.choose(NAME, backend, (A.shape[2], dt_weight.shape[2]), *tensors)
    if chosen == 'reference':
        with dispatch.full_precision(x):
            return reference(*tensors, table, out_dtype=out_dtype)
    if not torch.compiler.is_compiling():  # the graph's choice is a constant of devices and dtypes
        dispatch.refuse_unsupported(NAME, chosen, *tensors, table)
    needs_grad = any([t.requires_grad for t in tensors])
    y, _ = torch.ops.mamba_kernels.route_scan_forward(
        *tensors,
        table,
        out_dtype or x.dtype,
        CHECKPOINT if needs_grad and torch.is_grad_enabled() else 0,
        chosen,
    )
    return y


def _table(routes: Routes, x: Tensor) -> Tensor:
    """The routes as a table, not yet checked if the caller made it."""
    check_tensors({'x': x})
    check_axes('x', x, ('batch', 'tokens', 'dim'))
    if isinstance(routes, Tensor):
        return routes
    name, grid = (routes, x.shape[1:2]) if isinstance(routes, str) else routes
    sides = tuple([int(side) for side in grid])
    if math.prod(sides) != x.shape[1]:
        raise ValueError(
            f'route_scan: routes={routes!r} are {math.prod(sides)} tokens, x has {x.shape[1]}'
        )
    if x.shape[1] > MOST_TOKENS:
        raise ValueError(
            f'route_scan: x has {x.shape[1]} tokens; routes number at most {MOST_TOKENS} (int32): '
            'scan it in parts.'
        )
    return _standard(name, sides, x.device)


_checked: 'weakref.WeakValueDictionary[int, Tensor]' = weakref.WeakValueDictionary()
_checked_for: dict[int, tuple[int, int]] = {}


def _check_values(table: Tensor, tokens: int) -> None:
    """Look at a table's values once, not at every call: on a GPU that would wait for the device."""
    if type(table) is not Tensor or table.device.type == 'meta':
        return
    key = id(table)
    seen = (tokens, -1 if table.is_inference() else table._version)
    if _checked.get(key) is table and _checked_for.get(key) == seen:
        return
    check_table(table, tokens)
    _checked[key] = table
    _checked_for[key] = seen


def _standard(name: str, grid: tuple[int, ...], device: torch.device) -> Tensor:
    """A standard set of routes over a grid: int32 (routes, steps)."""
    if name not in SETS:
        raise ValueError(
            f'route_scan: routes={name!r} is no standard set; known: {", ".join(SETS)}; for any '
            'other order give an int32 table (routes, steps).'
        )
    if name == 'cross' and len(grid) != 2:
        raise ValueError(
            f"route_scan: routes='cross' need the grid, ('cross', (H, W)); got grid={grid}."
        )
    if torch.compiler.is_compiling():
        return _walks(name, grid, device)  # a few operators of the graph
    return _cached_walks(name, grid, device)


@lru_cache(maxsize=64)
def _cached_walks(name: str, grid: tuple[int, ...], device: torch.device) -> Tensor:
    # a real tensor, whoever asks first under whatever mode: others will use it too
    with _disable_current_modes(), torch.inference_mode(False):
        return _walks(name, grid, device)


def _walks(name: str, grid: tuple[int, ...], device: torch.device) -> Tensor:
    length = 1
    for side in grid:
        length *= side
    rows = torch.arange(length, dtype=torch.int32, device=device)
    if name == 'forward':
        return rows.unsqueeze(0)
    if name == 'bidirectional':
        return torch.stack([rows, rows.flip(0)])
    columns = rows.view(grid).t().flatten()
    return torch.stack([rows, columns, rows.flip(0), columns.flip(0)])


@torch.library.custom_op('mamba_kernels::route_scan_forward', mutates_args=())
def route_scan_forward(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    out_dtype: torch.dtype,
    save_every: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """y (batch, tokens, dim), states for the backward pass (or empty)."""
    serve = dispatch.implementation(NAME, backend).forward
    with dispatch.full_precision(x):
        y, states = serve(x, params, dt_weight, dt_bias, A, D, table, out_dtype, save_every > 0)
    return y.contiguous(), states.contiguous()  # the strides of the fake ones


@route_scan_forward.register_fake
def _(x, params, dt_weight, dt_bias, A, D, table, out_dtype, save_every, backend):  # noqa: ARG001
    batch, tokens, dim = x.shape
    routes, steps = table.shape
    tiles = (steps + CHECKPOINT - 1) // CHECKPOINT
    saved = (batch, routes, tiles, A.shape[2], dim) if save_every else (0,)
    y = x.new_empty((batch, tokens, dim), dtype=out_dtype)
    return y, x.new_empty(saved, dtype=compute_dtype(x))


@torch.library.custom_op('mamba_kernels::route_scan_backward', mutates_args=())
def route_scan_backward(
    dy: Tensor,
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
    states: Tensor,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, params, dt_weight, dt_bias, A and D."""
    serve = dispatch.implementation(NAME, backend).backward
    with dispatch.full_precision(x):
        gradients = serve(dy, x, params, dt_weight, dt_bias, A, D, table, states)
    return tuple(gradient.contiguous() for gradient in gradients)


@route_scan_backward.register_fake
def _(dy, x, params, dt_weight, dt_bias, A, D, table, states, backend):  # noqa: ARG001
    return tuple(t.new_empty(t.shape) for t in (x, params, dt_weight, dt_bias, A, D))


def _setup(ctx, inputs, output) -> None:
    *tensors, _, ctx.save_every, ctx.backend = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.set_materialize_grads(False)  # the states' gradient would be zeros of their size


def _backward(ctx, dy, _dstates):
    if not ctx.save_every:
        raise RuntimeError(
            'route_scan: no states were saved, as no input asked for gradients in the forward '
            'pass; call it under torch.enable_grad() with inputs that require them.'
        )
    if dy is None:  # nothing that follows depends on the result
        return (None,) * (len(ctx.saved_tensors) + 2)
    gradients = torch.ops.mamba_kernels.route_scan_backward(dy, *ctx.saved_tensors, ctx.backend)
    return *gradients, None, None, None, None


def _keep_nothing(ctx, inputs, output) -> None:
    """Nothing is needed to refuse."""


route_scan_forward.register_autograd(_backward, setup_context=_setup)
route_scan_backward.register_autograd(refuse_double_backward, setup_context=_keep_nothing)
