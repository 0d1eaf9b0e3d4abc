"""The ops with random inputs, and how results are compared: what every kernel test shares."""

from dataclasses import dataclass, field

import pytest
import torch

import mamba_kernels
from mamba_kernels import dispatch

CUDA = torch.cuda.is_available()
# largest error of a result by its dtype, as a share of the reference's largest value
OUTPUT = {
    torch.float64: 1e-12,
    torch.float32: 5e-7,
    torch.bfloat16: 2**-8 * 1.1,
    torch.float16: 2**-11 * 1.1,
}
GRADIENT = {**OUTPUT, torch.float32: 2e-6}
FAST = [name for name in dispatch.BACKENDS if name != 'reference']


@dataclass
class Case:
    """One call: tensors by name in the op's order, the rest of its arguments, and what is half."""

    op: str
    tensors: dict[str, torch.Tensor | None]
    options: dict = field(default_factory=dict)

    def to(self, dtype: torch.dtype, device: str = 'cpu') -> 'Case':
        """Data in `dtype`; parameters (A, D, dt_*, delta_bias) never below float32."""
        wide = dtype if dtype == torch.float64 else torch.float32
        data = ('u', 'delta', 'B', 'C', 'z', 'x', 'params')
        tensors = {
            name: None if tensor is None else tensor.to(device, dtype if name in data else wide)
            for name, tensor in self.tensors.items()
        }
        options = {k: v.to(device) if torch.is_tensor(v) else v for k, v in self.options.items()}
        return Case(self.op, tensors, options)

    def run(self, backend: str | None) -> dict[str, torch.Tensor]:
        """Results by name."""
        call = getattr(mamba_kernels, self.op)
        results = call(*self.tensors.values(), **self.options, backend=backend)
        if isinstance(results, tuple):
            return {'out': results[0], 'last_state': results[1]}
        return {'out': results}

    def run_both(self, backend: str | None, weights: dict[str, torch.Tensor]) -> tuple:
        """Results and gradients by name, of the results weighted by fixed numbers."""
        leaves = {
            name: tensor if tensor is None else tensor.detach().requires_grad_()
            for name, tensor in self.tensors.items()
        }
        results = Case(self.op, leaves, self.options).run(backend)
        total = sum((results[k] * w.to(results[k])).sum() for k, w in weights.items())
        given = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        gradients = torch.autograd.grad(total, list(given.values()))
        return results, dict(zip(given, gradients, strict=True))


def selective(length, *, batch=2, dim=13, state=5, groups=1, form='grouped', full=True) -> Case:
    """Random float64 inputs of `selective_scan`; `full` adds skip, gate, bias and softplus."""

    def make(*shape):
        return torch.randn(shape, dtype=torch.float64)

    def matrix():
        if form == 'constant':
            return make(dim, state)
        return make(batch, *((groups,) if form == 'grouped' else ()), state, length)

    rows = (batch, dim, length)
    tensors = {
        'u': make(*rows),
        'delta': make(*rows) - 1 if full else make(*rows).abs() * 0.5,
        'A': -make(dim, state).abs() - 0.1,
        'B': matrix(),
        'C': matrix(),
        'D': make(dim) if full else None,
        'z': make(*rows) if full else None,
        'delta_bias': make(dim) * 0.5 if full else None,
    }
    options = {'delta_softplus': full, 'return_last_state': True}
    return Case('selective_scan', tensors, options)


def routed(grid, *, batch=2, dim=13, state=5, rank=3, routes=None) -> Case:
    """Random float64 inputs of `route_scan` over a grid; by default with the cross routes."""

    def make(*shape):
        return torch.randn(shape, dtype=torch.float64)

    tokens = grid[0] * grid[1]
    routes = ('cross', grid) if routes is None else routes
    if torch.is_tensor(routes):
        K = len(routes)
    else:
        K = {'forward': 1, 'bidirectional': 2}.get(routes, 4)
    tensors = {
        'x': make(batch, tokens, dim),
        'params': make(batch, tokens, K, rank + 2 * state),
        'dt_weight': make(K, dim, rank) * rank**-0.5,
        'dt_bias': make(K, dim) * 0.5 - 1,
        'A': -make(K, dim, state).abs() - 0.1,
        'D': make(K, dim),
    }
    return Case('route_scan', tensors, {'routes': routes})


def weights_of(case: Case) -> dict[str, torch.Tensor]:
    """Random weights of each result: eighths, which every dtype holds exactly."""
    results = case.run('reference')
    return {name: torch.randint(-16, 17, r.shape) / 8 for name, r in results.items()}


def require(op: str, backend: str) -> str:
    """The device to test a backend on; skips with its own reason where it cannot run."""
    reason = dispatch.unavailable(op, backend)
    if reason is None and backend == 'triton' and not CUDA:
        reason = 'interpreted, which only small sizes bear: tests/kernels/test_triton_scans.py'
    if reason is not None:
        pytest.skip(reason)
    return 'cuda' if CUDA and backend == 'triton' else 'cpu'


def compare(got: dict, wanted: dict, tolerance: dict[torch.dtype, float]) -> None:
    """Every tensor within its dtype's tolerance of the reference's largest value."""
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        target = wanted[name]
        assert value.shape == target.shape, f'{name}: {value.shape} instead of {target.shape}'
        if not value.numel():
            continue
        scale = target.abs().max().item()
        error = (value.double().cpu() - target.double()).abs().max().item()
        share = error / scale if scale else error
        limit = tolerance[value.dtype]
        assert share <= limit, f'{name}: {share:.2e} of the maximum is off, allowed {limit:.0e}'


def check(case: Case, backend: str, dtype: torch.dtype, device: str | None = None) -> None:
    """Results and all gradients of a backend in `dtype` against the reference in float64."""
    device = device or require(case.op, backend)
    rounded = case.to(dtype)  # the reference sees the same rounded inputs
    exact = rounded.to(torch.float64)
    weights = weights_of(exact)
    results, gradients = exact.run_both('reference', weights)
    got, got_gradients = rounded.to(dtype, device).run_both(backend, weights)
    for name, gradient in got_gradients.items():
        assert gradient.dtype == rounded.tensors[name].dtype, f'gradient of {name}'
    compare(got, results, OUTPUT)
    named = [{f'gradient of {k}': v for k, v in g.items()} for g in (got_gradients, gradients)]
    compare(*named, GRADIENT)
