"""What others offer for the same scan, timed beside ours where it is installed.

mambapy's parallel scan, the slow path of transformers (both plain torch) and mamba_ssm's CUDA
kernel. A core runs them inside the published flow, copies per route and merge included, so that a
whole core is compared with a whole core. Nothing of them is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from registry import Case
from torch import Tensor
from torch.nn.functional import softplus

Scan = Callable[..., Tensor]  # (u, delta, A, B, C, D, delta_bias) -> y, as `selective_scan`
LIMIT = 1e-5  # of the largest value, against float64: it computes what we compute


def mambapy(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor):
    """Its parallel scan over all steps at once, around it what its model does."""
    pscan = importlib.import_module('mambapy.pscan').pscan
    share = A.shape[0] // B.shape[1]  # channels of a group
    delta = softplus(delta + bias[:, None]).mT.unsqueeze(-1)  # (B, L, D, 1)
    B, C = (t.permute(0, 3, 1, 2).repeat_interleave(share, 2) for t in (B, C))  # (B, L, D, N)
    h = pscan(torch.exp(delta * A), delta * B * u.mT.unsqueeze(-1))  # (B, L, D, N)
    return (h * C).sum(-1).mT + D[:, None] * u


def transformers(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor
):
    """Its loop; it knows one group, so each group is a call."""
    scan = importlib.import_module('transformers.models.mamba.modeling_mamba').mamba_selective_scan
    groups = B.shape[1]
    parts = zip(
        *(t.chunk(groups, 1) for t in (u, delta)),
        A.chunk(groups),
        *(t.unbind(1) for t in (B, C)),
        *(t.chunk(groups) for t in (D, bias)),
        strict=True,
    )
    ys = [scan(*part[:6], delta_bias=part[6], delta_softplus=True) for part in parts]
    return torch.cat(ys, dim=1)


def mamba_ssm(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor):
    """Its CUDA kernel."""
    module = importlib.import_module('mamba_ssm.ops.selective_scan_interface')
    return module.selective_scan_fn(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=True)


@dataclass(frozen=True)
class Baseline:
    """A scan of another package and what it can be asked for in reasonable time and memory.

    Args:
        scan: the scan.
        module: what has to be importable.
        device: the only device it runs on; None is any.
        longest: steps with a backward pass; beyond, each step writes a gradient of full length.
        most: states over all steps with a backward pass, which keeps several copies of them.
    """

    scan: Scan
    module: str
    device: str | None = None
    longest: int | None = None
    most: int | None = None

    def why_not(self, case: Case, train: bool, device: str) -> str | None:
        """Why a case is not run, None if it is."""
        if importlib.util.find_spec(self.module) is None:
            return 'not installed'
        if self.device not in (None, device):
            return f'runs on {self.device} alone'
        if train and self.longest is not None and case.steps() > self.longest:
            return f'training beyond {self.longest} steps takes minutes'
        if train and self.most is not None and case.updates() > self.most:
            return f'training with more than {self.most:.0e} states takes too much memory'
        return None


BASELINES = {
    'mambapy': Baseline(mambapy, 'mambapy', most=50_000_000),
    'transformers': Baseline(transformers, 'transformers', longest=400),
    'mamba_ssm': Baseline(mamba_ssm, 'mamba_ssm', device='cuda'),
}


def contenders(
    case: Case, train: bool, device: str, names: Sequence[str] = tuple(BASELINES)
) -> dict[str, Callable[[Sequence[Tensor]], Tensor]]:
    """The baselines that can compete on a case here, each around its scan."""
    found = {}
    for name in names:
        baseline = BASELINES[name]
        if baseline.why_not(case, train, device) is None:
            found[name] = lambda tensors, scan=baseline.scan: case.around(tensors, scan)
    return found


def left_out(cases: Sequence[Case], device: str) -> list[str]:
    """Which baselines are not run, and why: one line a baseline and reason."""
    lines: dict[str, list[str]] = {}
    for name, baseline in BASELINES.items():
        for case in cases:
            for train in (False, True):
                reason = baseline.why_not(case, train, device)
                if reason is not None:
                    cell = lines.setdefault(f'{name}: {reason}', [])
                    cell += [case.name] if case.name not in cell else []
    return [f'{line} ({", ".join(names)})' for line, names in lines.items()]
