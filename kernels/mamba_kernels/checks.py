"""Shape, dtype and device checks of the ops, and the wording of their errors."""

from __future__ import annotations

import torch
from torch import Tensor

CHECKPOINT = 128  # steps per state saved for the backward pass, the same in every backend
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def shape_text(tensor: Tensor) -> str:
    return f'({", ".join(str(size) for size in tensor.shape)})'


def check_tensors(tensors: dict[str, Tensor | None]) -> None:
    """All given tensors are real floating-point tensors on the device of the first."""
    first, device = None, None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise TypeError(f'{name} is a {type(tensor).__name__}; a tensor is needed')
        if tensor.is_complex():
            raise TypeError(
                f'{name} is {tensor.dtype}; the scan is real: pass a real tensor '
                '(for A usually -exp(A_log))'
            )
        if tensor.dtype not in DTYPES:
            known = ', '.join(str(dtype) for dtype in DTYPES)
            raise TypeError(f'{name} is {tensor.dtype}; allowed: {known}')
        if first is None:
            first, device = name, tensor.device
        elif tensor.device != device:
            raise ValueError(
                f'{name} is on {tensor.device}, {first} on {device}; move all to one device'
            )


def check_shape(
    name: str, tensor: Tensor | None, words: tuple[str, ...], sizes: tuple[int, ...]
) -> None:
    """`tensor`, if given, has the sizes named by `words`."""
    if tensor is None or tuple(tensor.shape) == tuple(sizes):
        return
    meaning = ', '.join(f'{word}={size}' for word, size in zip(words, sizes, strict=True))
    raise ValueError(f'{name} has shape {shape_text(tensor)}; needed: ({meaning})')


def check_axes(name: str, tensor: Tensor, words: tuple[str, ...], *, empty: str = 'batch') -> None:
    """`tensor` has one axis per word, none of them empty but the one named `empty`."""
    if tensor.dim() != len(words):
        raise ValueError(f'{name} has shape {shape_text(tensor)}; needed: ({", ".join(words)})')
    for word, size in zip(words, tensor.shape, strict=True):
        if size == 0 and word != empty:
            raise ValueError(f'{name} has shape {shape_text(tensor)}; {word} must be at least 1')


def check_selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
) -> None:
    """Refuse what `selective_scan` cannot mean."""
    check_tensors(
        {'u': u, 'delta': delta, 'A': A, 'B': B, 'C': C, 'D': D, 'z': z, 'delta_bias': delta_bias}
    )
    words = ('batch', 'dim', 'length')
    check_axes('u', u, words)
    check_shape('delta', delta, words, u.shape)
    check_shape('z', z, words, u.shape)
    check_axes('A', A, ('dim', 'state'))
    batch, dim, length = u.shape
    state = A.size(1)
    check_shape('A', A, ('dim', 'state'), (dim, state))
    check_shape('D', D, ('dim',), (dim,))
    check_shape('delta_bias', delta_bias, ('dim',), (dim,))
    for name, matrix in (('B', B), ('C', C)):
        if matrix.dim() == 2:
            check_shape(name, matrix, ('dim', 'state'), (dim, state))
        elif matrix.dim() == 3:
            check_shape(name, matrix, ('batch', 'state', 'length'), (batch, state, length))
        elif matrix.dim() == 4:
            groups = matrix.size(1)
            if groups < 1 or dim % groups:
                raise ValueError(
                    f'{name} has groups={groups} on its second axis; dim={dim} of u must be a '
                    'multiple of it'
                )
            words = ('batch', 'groups', 'state', 'length')
            check_shape(name, matrix, words, (batch, groups, state, length))
        else:
            raise ValueError(
                f'{name} has shape {shape_text(matrix)}; needed: (dim, state), (batch, state, '
                'length) or (batch, groups, state, length)'
            )


def check_route_scan(
    x: Tensor,
    params: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    table: Tensor,
) -> None:
    """Refuse what `route_scan` cannot mean; the values of the table are `check_table`'s."""
    check_tensors(
        {
            'x': x,
            'params': params,
            'dt_weight': dt_weight,
            'dt_bias': dt_bias,
            'A': A,
            'D': D,
        }
    )
    check_axes('x', x, ('batch', 'tokens', 'dim'))
    check_axes('A', A, ('routes', 'dim', 'state'))
    check_axes('dt_weight', dt_weight, ('routes', 'dim', 'rank'))
    batch, tokens, dim = x.shape
    routes, state, rank = A.size(0), A.size(2), dt_weight.size(2)
    check_shape('A', A, ('routes', 'dim', 'state'), (routes, dim, state))
    check_shape('dt_weight', dt_weight, ('routes', 'dim', 'rank'), (routes, dim, rank))
    check_shape('dt_bias', dt_bias, ('routes', 'dim'), (routes, dim))
    check_shape('D', D, ('routes', 'dim'), (routes, dim))
    words = ('batch', 'tokens', 'routes', 'rank + 2 state')
    check_shape('params', params, words, (batch, tokens, routes, rank + 2 * state))
    check_axes('routes', table, ('routes', 'steps'))
    if table.dtype != torch.int32:
        raise TypeError(f'routes is {table.dtype}; a table of torch.int32 is needed')
    if table.device != x.device:
        raise ValueError(f'routes is on {table.device}, x on {x.device}; move it to {x.device}')
    if table.size(0) != routes:
        raise ValueError(f'routes has {table.size(0)} routes; A is made for {routes}')
    if table.size(1) > tokens:
        raise ValueError(
            f'routes has {table.size(1)} steps; x has {tokens} tokens, and a route visits a token '
            'at most once'
        )


def check_table(table: Tensor, tokens: int) -> None:
    """Every entry names a token, and no route names one twice. Reads the values."""
    low, high = (int(bound) for bound in table.aminmax())
    if low < 0 or high >= tokens:
        wrong = low if low < 0 else high
        raise ValueError(f'routes names token {wrong}; x has tokens 0 to {tokens - 1}')
    ordered = table.sort(dim=1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]).nonzero()
    if twice.numel():
        route, step = (int(index) for index in twice[0])
        raise ValueError(
            f'route {route} visits token {int(ordered[route, step])} twice; the tokens of one '
            'route must be distinct'
        )


def check_dtype(name: str, dtype: torch.dtype) -> None:
    """`dtype` is one that an op can return."""
    if dtype not in DTYPES:
        known = ', '.join(str(each) for each in DTYPES)
        raise TypeError(f'{name}={dtype}; allowed: {known}')
