"""The selective scan: signature, checks, dispatch and its torch.library operators.

For each batch item and channel d, with delta' = softplus(delta + delta_bias) (either optional):

    h_t[n] = exp(delta'_t A[n]) h_{t-1}[n] + delta'_t u_t B_t[n],  h_{-1} = 0
    y_t    = sum_n C_t[n] h_t[n] + D u_t;  out_t = y_t silu(z_t)

(Mamba, arXiv 2312.00752, algorithm 2, with the Euler rule for B as its code has it.)
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import dispatch
from ..checks import CHECKPOINT, check_selective_scan
from .chunked import compute_dtype
from .reference import selective_scan as reference

NAME = 'selective_scan'


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    *,
    backend: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """A drop-in for mamba_ssm's `selective_scan_fn`.

    Args:
        u, delta: (batch, dim, length), float16, bfloat16, float32 or float64.
        A: (dim, state), real; negative for a scan that forgets.
        B, C: (batch, state, length), (batch, groups, state, length), or constant (dim, state).
            Channel d reads group d // (dim // groups). A constant one costs the memory of a
            group per channel.
        D: skip weight (dim), optional.
        z: gate (batch, dim, length), optional.
        delta_bias: (dim), optional.
        delta_softplus: whether the step sizes pass softplus after the bias.
        return_last_state: also return the state after the last step.
        backend: 'triton', 'cpu', 'chunked' or 'reference'; by default the best that can serve.

    Returns:
        out (batch, dim, length) in the dtype of u; with `return_last_state` also
        (batch, dim, state), float64 for a float64 u, else float32.

    Raises:
        TypeError: a tensor is complex or of a dtype without arithmetic.
        ValueError: shapes or devices do not fit together, or the backend is unknown.
        RuntimeError: the backend asked for by name cannot serve this call.

    The state is kept in float32 at least. First derivatives only; for double backward take
    backend='reference'.

    >>> import torch
    >>> u, delta = torch.ones(1, 2, 3), torch.ones(1, 2, 3)
    >>> A, B, C = -torch.ones(2, 1), torch.ones(1, 1, 3), torch.ones(1, 1, 3)
    >>> selective_scan(u, delta, A, B, C)[0, 0]
    tensor([1.0000, 1.3679, 1.5032])
    """
    check_selective_scan(u, delta, A, B, C, D, z, delta_bias)
    tensors = (u, delta, A, B, C, D, z, delta_bias)
    chosen = dispatch.choose(NAME, backend, (A.shape[1],), *tensors)
    if chosen == 'reference':
        with dispatch.full_precision(u):
            return reference(*tensors, delta_softplus, return_last_state)
    if not torch.compiler.is_compiling():  # the graph's choice is a constant of devices and dtypes
        dispatch.refuse_unsupported(NAME, chosen, *tensors)
    out, last_state = _scan(tensors, delta_softplus, chosen)
    return (out, last_state) if return_last_state else out


def _scan(
    tensors: tuple[Tensor | None, ...], delta_softplus: bool, backend: str
) -> tuple[Tensor, Tensor]:
    """The operator in its canonical form, and the gate around it; out, last state."""
    u, delta, A, B, C, D, z, delta_bias = tensors
    batch, dim, length = u.shape
    needs_grad = any([t is not None and t.requires_grad for t in tensors])
    groups = math.lcm(_groups(B, dim), _groups(C, dim))
    out, last_state, _ = torch.ops.mamba_kernels.selective_scan_forward(
        u,
        delta,
        A,
        _grouped(B, groups, batch, length),
        _grouped(C, groups, batch, length),
        D,
        delta_bias,
        delta_softplus,
        u.dtype if z is None else compute_dtype(u),
        CHECKPOINT if needs_grad and torch.is_grad_enabled() else 0,
        backend,
    )
    if z is not None:
        out = (out * F.silu(z.to(out.dtype))).to(u.dtype)
    return out, last_state


def _groups(parameter: Tensor, dim: int) -> int:
    return {2: dim, 3: 1}.get(parameter.ndim) or parameter.shape[1]


def _grouped(parameter: Tensor, groups: int, batch: int, length: int) -> Tensor:
    """B or C of any of its forms as (batch, groups, state, length)."""
    if parameter.ndim == 2:  # (dim, state): one group a channel
        return parameter[None, :, :, None].expand(batch, groups, -1, length)
    if parameter.ndim == 3:
        parameter = parameter[:, None]  # (batch, 1, state, length)
    if parameter.shape[1] == groups:
        return parameter
    return parameter.repeat_interleave(groups // parameter.shape[1], dim=1)


@torch.library.custom_op('mamba_kernels::selective_scan_forward', mutates_args=())
def selective_scan_forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    out_dtype: torch.dtype,
    save_every: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """y (batch, dim, length), last state (batch, dim, state), states for the backward pass."""
    serve = dispatch.implementation(NAME, backend).forward
    with dispatch.full_precision(u):
        results = serve(u, delta, A, B, C, D, delta_bias, delta_softplus, out_dtype, save_every > 0)
    return tuple(result.contiguous() for result in results)  # the strides of the fake ones


@selective_scan_forward.register_fake
def _(u, delta, A, B, C, D, delta_bias, delta_softplus, out_dtype, save_every, backend):  # noqa: ARG001
    batch, dim, length = u.shape
    state, dtype = A.shape[1], compute_dtype(u)
    tiles = (length + CHECKPOINT - 1) // CHECKPOINT
    saved = (batch, tiles, state, dim) if save_every else (0,)
    return (
        u.new_empty((batch, dim, length), dtype=out_dtype),
        u.new_empty((batch, dim, state), dtype=dtype),
        u.new_empty(saved, dtype=dtype),
    )


@torch.library.custom_op('mamba_kernels::selective_scan_backward', mutates_args=())
def selective_scan_backward(
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
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, delta, A, B, C, D and delta_bias; the absent ones are empty."""
    serve = dispatch.implementation(NAME, backend).backward
    with dispatch.full_precision(u):
        gradients = serve(dy, dlast, u, delta, A, B, C, D, delta_bias, delta_softplus, states)
    return tuple(u.new_empty(0) if g is None else g.contiguous() for g in gradients)


@selective_scan_backward.register_fake
def _(dy, dlast, u, delta, A, B, C, D, delta_bias, delta_softplus, states, backend):  # noqa: ARG001
    return tuple(
        u.new_empty(0) if t is None else t.new_empty(t.shape)
        for t in (u, delta, A, B, C, D, delta_bias)
    )


def _setup(ctx, inputs, output) -> None:
    *tensors, ctx.delta_softplus, _, ctx.save_every, ctx.backend = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.set_materialize_grads(False)


def _backward(ctx, dy, dlast, _dstates):
    if not ctx.save_every:
        raise RuntimeError(
            'selective_scan: no states were saved, as no input asked for gradients in the forward '
            'pass; call it under torch.enable_grad() with inputs that require them.'
        )
    *tensors, states = ctx.saved_tensors
    u = tensors[0]
    if dy is None:
        dy = torch.zeros_like(u)
    gradients = torch.ops.mamba_kernels.selective_scan_backward(
        dy, dlast, *tensors, ctx.delta_softplus, states, ctx.backend
    )
    present = [g if t is not None else None for g, t in zip(gradients, tensors, strict=True)]
    return *present, None, None, None, None


def refuse_double_backward(_ctx, *_gradients):
    """The backward operators' own backward pass."""
    raise RuntimeError(
        'mamba_kernels: the scans have first derivatives only; for double backward use '
        'backend="reference", which torch differentiates any number of times.'
    )


def _keep_nothing(ctx, inputs, output) -> None:
    """Nothing is needed to refuse."""


selective_scan_forward.register_autograd(_backward, setup_context=_setup)
selective_scan_backward.register_autograd(refuse_double_backward, setup_context=_keep_nothing)
