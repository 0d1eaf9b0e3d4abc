"""The benchmark's baselines compute what ours does; packages that are not here are left out."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mamba_kernels import selective_scan

BENCHMARKS = Path(__file__).resolve().parents[2] / 'kernels' / 'benchmarks'
MODULES = ('baselines', 'registry')


@pytest.fixture(scope='module')
def baselines():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module('baselines')
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture
def stand_ins(monkeypatch):
    """Modules of the packages' names that hold the functions we call, written as plain loops."""

    def pscan(decay, driven):  # (B, L, D, N) each
        h, states = torch.zeros_like(driven[:, 0]), []
        for t in range(driven.shape[1]):
            h = decay[:, t] * h + driven[:, t]
            states.append(h)
        return torch.stack(states, dim=1)

    def slow_path(u, delta, A, B, C, D, *, delta_bias, delta_softplus):
        if B.dim() != 3 or A.shape[0] != u.shape[1]:
            raise ValueError('one group alone')
        options = {'delta_bias': delta_bias, 'delta_softplus': delta_softplus}
        return selective_scan(u, delta, A, B, C, D, **options, backend='reference')

    def add(name, **functions):
        module = ModuleType(name)
        module.__dict__.update(functions)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)

    add('mambapy')
    add('mambapy.pscan', pscan=pscan)
    add('transformers')
    add('transformers.models')
    add('transformers.models.mamba')
    add('transformers.models.mamba.modeling_mamba', mamba_selective_scan=slow_path)


def inputs(case):
    generator = torch.Generator().manual_seed(0)
    return [spec.make(generator).double() for spec in case.inputs().values()]


@pytest.mark.parametrize('name', ['scan_a', 'scan_b', 'core_28_n1', 'core_56_n16'])
@pytest.mark.usefixtures('stand_ins')
def test_each_is_the_same_function(baselines, name):
    registry = sys.modules['registry']
    case = next(case for case in registry.CASES if case.name == name).small()
    tensors = inputs(case)
    wanted = case.run(tensors, 'chunked')
    runs = {'lean loop': case.lean, **baselines.contenders(case, True, 'cpu')}
    assert list(runs) == ['lean loop', 'mambapy', 'transformers']
    for label, run in runs.items():
        error = (run(tensors) - wanted).abs().max() / wanted.abs().max()
        assert error < 1e-12, f'{label}: {error}'


def test_what_is_not_installed_is_left_out_with_its_reason(baselines, monkeypatch):
    monkeypatch.setattr(baselines.importlib.util, 'find_spec', lambda name: None)
    cases = sys.modules['registry'].CASES[:2]
    assert baselines.contenders(cases[0], False, 'cpu') == {}
    lines = baselines.left_out(cases, 'cpu')
    assert lines == [f'{name}: not installed (scan_a, scan_b)' for name in baselines.BASELINES]


@pytest.mark.usefixtures('stand_ins')
def test_no_training_that_takes_hours_or_all_memory(baselines):
    cases = {case.name: case for case in sys.modules['registry'].CASES}
    assert 'transformers' in baselines.contenders(cases['scan_a'], False, 'cpu')
    assert 'transformers' not in baselines.contenders(cases['scan_a'], True, 'cpu')
    assert 'mambapy' in baselines.contenders(cases['scan_a'], True, 'cpu')
    assert 'mambapy' not in baselines.contenders(cases['scan_c'], True, 'cpu')
    reason = baselines.BASELINES['transformers'].why_not(cases['scan_a'], True, 'cpu')
    assert reason == 'training beyond 400 steps takes minutes'
