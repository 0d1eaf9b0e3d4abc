"""The backends as records, and the choice among them.

A call is served by, in this order: the backend of its argument, of `use_backend`, of the
environment variable MAMBA_KERNELS_BACKEND, else the first of BACKENDS that is chosen by itself for
the device and dtypes at hand and can run on this machine. A backend asked for by name serves or
raises, it is never replaced by another.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

ENVIRONMENT = 'MAMBA_KERNELS_BACKEND'
OPS = ('selective_scan', 'route_scan')
HALF_AND_SINGLE = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Backend:
    """One way to compute every op.

    Args:
        name: what users say.
        module: the file in each op's folder.
        summary: a few words for `explain`.
        devices: device types for which it is chosen by itself; None is any.
        dtypes: the dtypes for which it is chosen by itself; None is any.
        most: the largest state and rank for which it is chosen by itself; None is any.
    """

    name: str
    module: str
    summary: str
    devices: tuple[str, ...] | None = None
    dtypes: tuple[torch.dtype, ...] | None = None
    most: int | None = None


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend('triton', 'triton_gpu', 'Triton kernels', ('cuda',), HALF_AND_SINGLE, 64),
        Backend('cpu', 'cpu', 'C++ kernels, threaded, vectorised', ('cpu',), HALF_AND_SINGLE, 64),
        Backend('chunked', 'chunked', 'torch operators, any device and dtype'),
        Backend('reference', 'reference', 'plain loop, the definition', devices=()),
    )
}
LIMITS = tuple({backend.most for backend in BACKENDS.values() if backend.most is not None})
NATIVE_DEVICES = ('cuda', 'cpu', 'meta')  # others get a notice that only torch operators serve them

_forced: list[str] = []  # what `use_backend` has put in force, innermost last


def known(name: str, source: str) -> str:
    """`name` if it is a backend's; `source` says where it came from."""
    if name not in BACKENDS:
        raise ValueError(f'{source}={name!r} is not a backend; known: {", ".join(BACKENDS)}')
    return name


def implementation(op: str, name: str) -> ModuleType:
    """The module that computes `op`; imported at its first use."""
    return importlib.import_module(f'{__package__}.{op}.{BACKENDS[name].module}')


def unavailable(op: str, name: str) -> str | None:
    """Why a backend cannot run on this machine, None if it can."""
    if name == 'reference':
        return None
    return implementation(op, name).unavailable()


def available_backends() -> tuple[str, ...]:
    """Names of the backends that can run every op on this machine, the preferred one first."""
    return tuple(name for name in BACKENDS if not any(unavailable(op, name) for op in OPS))


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within the block every call that names no backend itself is served by `name`, in all threads.

    Raises:
        ValueError: `name` is no backend.
    """
    _forced.append(known(name, 'use_backend'))
    try:
        yield
    finally:
        _forced.pop()


@functools.cache
def _notify(message: str) -> None:
    """Say it once a process."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def _passed_over(backend: Backend, device: str, dtypes: tuple, over: tuple[int, ...]) -> str | None:
    """Why a backend is not chosen by itself for a call, None if it may be."""
    if backend.devices is not None and device not in backend.devices:
        return f'not chosen by itself on {device}' if backend.devices else 'never chosen by itself'
    refused = [str(d) for d in dtypes if backend.dtypes is not None and d not in backend.dtypes]
    if refused:
        return f'not made for {", ".join(refused)}'
    if backend.most in over:
        return f'made for states and ranks up to {backend.most}'
    return None


@torch.compiler.assume_constant_result
def _automatic(op: str, device: str, dtypes: tuple, over: tuple[int, ...]) -> str:
    """The first backend that fits and can run; says once when a better one cannot."""
    if device not in NATIVE_DEVICES:
        _notify(f'mamba_kernels: no kernels for device {device}; the chunked backend serves it')
    for backend in BACKENDS.values():
        if _passed_over(backend, device, dtypes, over) is not None:
            continue
        reason = unavailable(op, backend.name)
        if reason is None:
            return backend.name
        _notify(
            f'mamba_kernels: backend {backend.name} cannot run here ({reason}); '
            'the chunked backend serves instead'
        )
    raise RuntimeError('mamba_kernels: no backend is left; chunked should have been')


@torch.compiler.assume_constant_result
def _by_name(op: str, name: str, source: str) -> str:
    """A backend asked for by name: it can run here, or the reason is raised."""
    reason = unavailable(op, known(name, source))
    if reason is not None:
        raise RuntimeError(f'{source}={name!r} cannot run here: {reason}')
    return name


def choose(op: str, asked: str | None, sizes: tuple[int, ...], *tensors: Tensor | None) -> str:
    """The backend of a call on `tensors`; `sizes` are its state (and rank)."""
    if asked is not None:
        return _by_name(op, asked, 'backend')
    if _forced:
        return _by_name(op, _forced[-1], 'use_backend')
    environment = os.environ.get(ENVIRONMENT)
    if environment:
        return _by_name(op, environment, ENVIRONMENT)
    device, dtypes, over = _traits(sizes, tensors)
    return _automatic(op, device, dtypes, over)


def _traits(
    sizes: tuple[int, ...], tensors: tuple[Tensor | None, ...]
) -> tuple[str, tuple[torch.dtype, ...], tuple[int, ...]]:
    """Device, dtypes and exceeded limits of a call: constants, as a compiled graph needs them."""
    given = [tensor for tensor in tensors if tensor is not None]
    over = []
    for most in LIMITS:
        for size in sizes:
            if size > most and most not in over:
                over.append(most)
    return given[0].device.type, tuple(tensor.dtype for tensor in given), tuple(over)


def refuse_unsupported(op: str, name: str, *tensors: Tensor | None) -> None:
    """Raise why the backend of a call cannot serve these very tensors, if there is a reason."""
    reason = implementation(op, name).unsupported(*tensors)
    if reason is not None:
        raise ValueError(f'{op}: backend {name!r} cannot serve this call: {reason}')


def full_precision(tensor: Tensor) -> contextlib.AbstractContextManager:
    """Autocast off for the device of `tensor`: products in a scan keep the dtype of its state."""
    device = tensor.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()


def explain(op: str, *tensors: Tensor | None) -> str:
    """Which backend would serve a call of `op` on `tensors` and why not the others, as text.

    Args:
        op: `'selective_scan'`, `'route_scan'` or `'mlstm'`, which has forms instead of backends.
        tensors: the op's tensors in its order; with none, only what this machine can run.
    """
    if op == 'mlstm':
        return importlib.import_module(f'{__package__}.mlstm.op').explain(*tensors)
    if op not in OPS:
        raise ValueError(f'op={op!r} is not an op; known: {", ".join(OPS)}, mlstm')
    order = (2,) if op == 'selective_scan' else (4, 2)  # A, and the route scan's dt_weight
    sizes = tuple(tensors[i].size(-1) for i in order if i < len(tensors))
    floats = [t for t in tensors if isinstance(t, Tensor) and t.is_floating_point()]
    lines = [f'{op}: not said which backend, no tensors given' if not floats else '']
    traits = _traits(sizes, tuple(floats)) if floats else None
    for backend in BACKENDS.values():
        reason = unavailable(op, backend.name)
        verdict = 'can run here' if reason is None else f'cannot run here: {reason}'
        passed_over = _passed_over(backend, *traits) if traits else None
        detail = f'; {passed_over}' if passed_over else ''
        lines.append(f'  {backend.name} ({backend.summary}): {verdict}{detail}')
    if floats:
        lines[0] = f'{op}: {choose(op, None, sizes, *floats)} serves ({_source()})'
    return '\n'.join(lines)


def _source() -> str:
    """What decides when a call names no backend."""
    if _forced:
        return 'by use_backend'
    return f'by {ENVIRONMENT}' if os.environ.get(ENVIRONMENT) else 'chosen by itself'
