"""What is measured: the cases of each operator and the baselines, as data.

Sizes are those of VMamba's and Vim's layers; `small()` of a case has the same state, groups and
rank at sizes that the float64 loop checks in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

import mamba_kernels


@dataclass(frozen=True)
class TensorSpec:
    """A random input: normal values times `scale` plus `shift`, or their negative magnitudes."""

    shape: tuple[int, ...]
    scale: float = 1.0
    shift: float = 0.0
    negative: bool = False

    def make(self, generator: torch.Generator) -> Tensor:
        value = torch.randn(self.shape, generator=generator) * self.scale + self.shift
        return -value.abs() - 0.1 if self.negative else value


@dataclass(frozen=True)
class SelectiveCase:
    """A bare scan: `groups` sets of B and C over `dim` channels."""

    name: str
    batch: int
    dim: int
    groups: int
    state: int
    length: int

    def inputs(self) -> dict[str, TensorSpec]:
        rows = (self.batch, self.dim, self.length)
        shared = (self.batch, self.groups, self.state, self.length)
        return {
            'u': TensorSpec(rows),
            'delta': TensorSpec(rows, shift=-1.0),
            'A': TensorSpec((self.dim, self.state), negative=True),
            'B': TensorSpec(shared),
            'C': TensorSpec(shared),
            'D': TensorSpec((self.dim,)),
            'delta_bias': TensorSpec((self.dim,), scale=0.5),
        }

    def small(self) -> SelectiveCase:
        return replace(self, batch=min(self.batch, 2), dim=18 * self.groups, length=123)

    def updates(self) -> int:
        return self.batch * self.dim * self.state * self.length

    def shape(self) -> str:
        return f'B{self.batch} D{self.dim} L{self.length} G{self.groups} N{self.state}'

    def least_bytes(self, train: bool) -> int:
        """What any way must move in float32: each tensor once, and again with gradients."""
        rows = self.batch * self.dim * self.length
        shared = 2 * self.batch * self.groups * self.state * self.length
        return 4 * (3 * rows + shared + train * (5 * rows + 2 * shared))

    def run(self, tensors: Sequence[Tensor], backend: str) -> Tensor:
        return mamba_kernels.selective_scan(
            *tensors[:6], delta_bias=tensors[6], delta_softplus=True, backend=backend
        )

    def steps(self) -> int:
        return self.length

    def around(self, tensors: Sequence[Tensor], scan: Callable[..., Tensor]) -> Tensor:
        """A scan with the arguments of `selective_scan` in the place of ours."""
        return scan(*tensors)

    def lean(self, tensors: Sequence[Tensor]) -> Tensor:
        return self.around(tensors, lean_scan)


@dataclass(frozen=True)
class CoreCase:
    """The whole core of a 2-D mixer: projection, four routes, scan, merge."""

    name: str
    batch: int
    dim: int
    height: int
    width: int
    state: int
    rank: int
    routes: int = 4

    def inputs(self) -> dict[str, TensorSpec]:
        K, D, N, R = self.routes, self.dim, self.state, self.rank
        return {
            'x': TensorSpec((self.batch, self.height * self.width, D)),
            'x_proj': TensorSpec((K * (R + 2 * N), D), scale=D**-0.5),
            'dt_weight': TensorSpec((K, D, R), scale=R**-0.5),
            'dt_bias': TensorSpec((K, D), scale=0.5, shift=-1.0),
            'A': TensorSpec((K, D, N), negative=True),
            'D': TensorSpec((K, D)),
        }

    def small(self) -> CoreCase:
        return replace(self, batch=min(self.batch, 2), dim=37, height=13, width=9)

    def updates(self) -> int:
        return self.batch * self.routes * self.dim * self.state * self.height * self.width

    def shape(self) -> str:
        return (
            f'B{self.batch} D{self.dim} {self.height}x{self.width} K{self.routes} N{self.state} '
            f'R{self.rank}'
        )

    def least_bytes(self, train: bool) -> int:
        """What the fused form must move in float32: x twice, the packed parameters out and in, y.

        Training, the scan reads both and dy again and writes dx and the parameters' gradient, and
        the projection reads that and x and adds to dx.
        """
        tokens = self.batch * self.height * self.width
        x, params = tokens * self.dim, tokens * self.routes * (self.rank + 2 * self.state)
        return 4 * (3 * x + 2 * params + train * (6 * x + 3 * params))

    def run(self, tensors: Sequence[Tensor], backend: str) -> Tensor:
        x, x_proj, dt_weight, dt_bias, A, D = tensors
        params = (x @ x_proj.mT).unflatten(-1, (self.routes, -1))  # (B, L, K, R + 2N)
        grid = ('cross', (self.height, self.width))
        return mamba_kernels.route_scan(x, params, dt_weight, dt_bias, A, D, grid, backend=backend)

    def packed(self, xs: Tensor, packing: Tensor) -> Tensor:
        """The projection of xs (B, K, D, L), each route's own."""
        return torch.einsum('bkdl,kcd->bkcl', xs, packing.unflatten(0, (self.routes, -1)))

    def steps(self) -> int:
        return self.height * self.width

    def around(self, tensors: Sequence[Tensor], scan: Callable[..., Tensor]) -> Tensor:
        """The published flow around a scan: copies per route, grouped products, merge."""
        x, packing, dt_weight, dt_bias, A, D = tensors
        K, N, H, W = self.routes, self.state, self.height, self.width
        image = x.mT.unflatten(-1, (H, W))  # (B, D, H, W)
        rows, columns = image.flatten(2), image.mT.flatten(2)
        xs = torch.stack([rows, columns, rows.flip(-1), columns.flip(-1)], dim=1)  # (B, K, D, L)
        packed = self.packed(xs, packing)  # (B, K, R + 2N, L)
        dt, B, C = packed.split([self.rank, N, N], dim=2)
        delta = torch.einsum('bkrl,kdr->bkdl', dt, dt_weight)
        per_channel = (A.flatten(0, 1), B, C, D.flatten(), dt_bias.flatten())
        ys = scan(xs.flatten(1, 2), delta.flatten(1, 2), *per_channel)
        ys = ys.unflatten(1, (K, -1))
        rows = ys[:, 0] + ys[:, 2].flip(-1)
        columns = (ys[:, 1] + ys[:, 3].flip(-1)).unflatten(-1, (W, H)).mT.flatten(2)
        return (rows + columns).mT

    def lean(self, tensors: Sequence[Tensor]) -> Tensor:
        return self.around(tensors, lean_scan)


@dataclass(frozen=True)
class RoutesCase(CoreCase):
    """The routed scan alone: its packed parameters are an input."""

    def inputs(self) -> dict[str, TensorSpec]:
        specs = super().inputs()
        del specs['x_proj']
        shape = (self.batch, self.steps(), self.routes, self.rank + 2 * self.state)
        return {'x': specs.pop('x'), 'params': TensorSpec(shape), **specs}

    def least_bytes(self, train: bool) -> int:
        tokens = self.batch * self.steps()
        x, params = tokens * self.dim, tokens * self.routes * (self.rank + 2 * self.state)
        return 4 * (2 * x + params + train * (3 * x + 2 * params))

    def run(self, tensors: Sequence[Tensor], backend: str) -> Tensor:
        grid = ('cross', (self.height, self.width))
        return mamba_kernels.route_scan(*tensors, grid, backend=backend)

    def packed(self, xs: Tensor, packing: Tensor) -> Tensor:  # noqa: ARG002
        rows = packing.permute(0, 2, 3, 1)  # (B, K, R + 2N, L)
        columns = rows.unflatten(-1, (self.height, self.width)).mT.flatten(-2)
        orders = (rows[:, 0], columns[:, 1], rows[:, 2].flip(-1), columns[:, 3].flip(-1))
        return torch.stack(orders, dim=1)


Case = SelectiveCase | CoreCase | RoutesCase


def lean_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor
) -> Tensor:
    """The honest loop: step by step, inputs unbound once, nothing of length times state kept."""
    delta = softplus(delta + bias[:, None])
    batch, dim, _ = u.shape
    groups, state = B.shape[1:3]
    per_group = dim // groups
    A = A.unflatten(0, (groups, per_group))
    h = u.new_zeros(batch, groups, per_group, state)
    ys = []
    steps = [tensor.unflatten(1, (groups, per_group)).unbind(-1) for tensor in (delta, delta * u)]
    for step, driven, B_t, C_t in zip(*steps, B.unbind(-1), C.unbind(-1), strict=True):
        h = torch.exp(step[..., None] * A) * h + driven[..., None] * B_t[:, :, None]
        ys.append((h * C_t[:, :, None]).sum(-1))
    return torch.stack(ys, dim=-1).flatten(1, 2) + D[:, None] * u


CASES: tuple[Case, ...] = (
    SelectiveCase('scan_a', batch=1, dim=768, groups=4, state=16, length=3136),
    SelectiveCase('scan_b', batch=2, dim=384, groups=1, state=1, length=784),
    SelectiveCase('scan_c', batch=1, dim=384, groups=4, state=16, length=16384),
    CoreCase('core_56_n16', batch=1, dim=192, height=56, width=56, state=16, rank=6),
    CoreCase('core_56_n1', batch=1, dim=192, height=56, width=56, state=1, rank=6),
    CoreCase('core_128_n16', batch=1, dim=96, height=128, width=128, state=16, rank=6),
    CoreCase('core_28_n1', batch=2, dim=384, height=28, width=28, state=1, rank=12),
    CoreCase('core_128_n1', batch=1, dim=96, height=128, width=128, state=1, rank=6),
    RoutesCase('routes_56_n16', batch=1, dim=192, height=56, width=56, state=16, rank=6),
    RoutesCase('routes_56_n1', batch=1, dim=192, height=56, width=56, state=1, rank=6),
    RoutesCase('routes_128_n16', batch=1, dim=96, height=128, width=128, state=16, rank=6),
    CoreCase('core_odd', batch=1, dim=100, height=57, width=43, state=1, rank=6),
)


GROWTH = tuple(  # the routed scan at growing grids, for its exponent
    RoutesCase(f'grow_{side}_n{state}', 1, 96, side, side, state, rank=6)
    for state in (1, 16)
    for side in (56, 128, 256, 512)
)


def contenders(case: Case, names: Sequence[str]) -> dict[str, Callable[[Sequence[Tensor]], Tensor]]:
    """What competes on a case: the lean loop and the named backends."""
    found = {'lean loop': case.lean}
    for name in names:
        found[name] = lambda tensors, name=name: case.run(tensors, name)
    return found
