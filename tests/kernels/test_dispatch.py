"""The choice of the backend, its notices and its refusals."""

import subprocess
import sys
import warnings

import pytest
import torch

import mamba_kernels
from mamba_kernels import dispatch

from .cases import routed, selective

OPS = pytest.mark.parametrize('op', dispatch.OPS)
NONE_MISSING = {name: None for name in dispatch.BACKENDS}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No variable of the caller's, and every notice unsaid."""
    monkeypatch.delenv(dispatch.ENVIRONMENT, raising=False)
    dispatch._notify.cache_clear()
    yield
    dispatch._notify.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """A machine on which the backends given cannot run, each for its reason."""

    def pretend(**missing):
        reasons = {**NONE_MISSING, **missing}
        monkeypatch.setattr(dispatch, 'unavailable', lambda op, name: reasons[name])

    return pretend


def chosen(op, device='cpu', dtype=torch.float32, state=4):
    return dispatch._automatic(
        op, device, (dtype,), dispatch._traits((state,), (torch.ones(1),))[2]
    )


@OPS
def test_the_best_backend_for_device_dtype_and_size(op, machine):
    machine()
    assert chosen(op, 'cuda') == 'triton'
    assert chosen(op, 'cuda', torch.bfloat16) == 'triton'
    assert chosen(op, 'cuda', torch.float64) == 'chunked'
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert chosen(op, 'cpu', dtype) == 'cpu'
    assert chosen(op, 'cpu', torch.float64) == 'chunked'
    assert chosen(op, 'cpu', state=64) == 'cpu'
    assert chosen(op, 'cpu', state=65) == 'chunked'
    assert chosen(op, 'meta') == 'chunked'


@OPS
def test_a_backend_that_cannot_run_is_passed_over_with_one_notice(op, machine):
    machine(cpu='no C++ compiler')
    with pytest.warns(RuntimeWarning, match=r'cpu cannot run here \(no C\+\+ compiler\)'):
        assert chosen(op) == 'chunked'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert chosen(op) == 'chunked'


@OPS
def test_an_unknown_device_gets_chunked_and_one_notice(op, machine):
    machine()
    with pytest.warns(RuntimeWarning, match='xpu'):
        assert chosen(op, 'xpu') == 'chunked'


@OPS
def test_argument_before_block_before_environment(op, monkeypatch):
    tensor = torch.ones(1)

    def choose(asked=None):
        return dispatch.choose(op, asked, (1,), tensor)

    monkeypatch.setenv(dispatch.ENVIRONMENT, 'reference')
    assert choose() == 'reference'
    with mamba_kernels.use_backend('chunked'):
        assert choose() == 'chunked'
        with mamba_kernels.use_backend('reference'):
            assert choose() == 'reference'
            assert choose('chunked') == 'chunked'
        assert choose() == 'chunked'
    assert choose() == 'reference'
    monkeypatch.setenv(dispatch.ENVIRONMENT, '')
    assert choose() in ('cpu', 'chunked')


def test_the_block_ends_with_an_error_too():
    with pytest.raises(KeyError), mamba_kernels.use_backend('reference'):
        raise KeyError
    assert dispatch.choose('route_scan', None, (1,), torch.ones(1)) != 'reference'


@OPS
def test_one_asked_for_by_name_serves_or_raises(op, machine, monkeypatch):
    machine(cpu='no C++ compiler')
    case = selective(3) if op == 'selective_scan' else routed((1, 3))
    with pytest.raises(RuntimeError, match=r"backend='cpu' cannot run here: no C\+\+ compiler"):
        case.run('cpu')
    with mamba_kernels.use_backend('cpu'), pytest.raises(RuntimeError, match='use_backend=.cpu'):
        case.run(None)
    monkeypatch.setenv(dispatch.ENVIRONMENT, 'cpu')
    with pytest.raises(RuntimeError, match="MAMBA_KERNELS_BACKEND='cpu' cannot run"):
        case.run(None)


@OPS
def test_unknown_names_list_the_known(op, monkeypatch):
    case = selective(3) if op == 'selective_scan' else routed((1, 3))
    known = 'known: triton, cpu, chunked, reference'
    with pytest.raises(ValueError, match=f"backend='cuda' is not a backend; {known}"):
        case.run('cuda')
    with pytest.raises(ValueError, match='use_backend'), mamba_kernels.use_backend('C++'):
        pass
    monkeypatch.setenv(dispatch.ENVIRONMENT, 'gpu')
    with pytest.raises(ValueError, match=f"MAMBA_KERNELS_BACKEND='gpu' is not a backend; {known}"):
        case.run(None)


@OPS
def test_tensors_that_a_named_backend_cannot_serve(op):
    if dispatch.unavailable(op, 'cpu') is not None:
        pytest.skip(dispatch.unavailable(op, 'cpu'))
    case = selective(3) if op == 'selective_scan' else routed((1, 3))
    with pytest.raises(ValueError, match="'cpu' cannot serve this call: torch.float64"):
        case.run('cpu')
    state = {'state': 65}
    case = selective(3, **state) if op == 'selective_scan' else routed((1, 3), **state)
    with pytest.raises(ValueError, match='chunked'):
        case.to(torch.float32).run('cpu')
    assert case.to(torch.float32).run(None)['out'].isfinite().all()


def test_available_backends_are_those_that_run():
    names = mamba_kernels.available_backends()
    assert names[-2:] == ('chunked', 'reference')
    for op in dispatch.OPS:
        case = selective(3) if op == 'selective_scan' else routed((1, 3))
        for name in names:
            assert case.to(torch.float32).run(name)['out'].isfinite().all(), name


def test_explain(machine):
    machine(triton='no CUDA device', cpu=None)
    text = mamba_kernels.explain('route_scan')
    assert 'triton' in text and 'cannot run here: no CUDA device' in text
    tensors = routed((1, 3)).to(torch.float32).tensors.values()
    assert mamba_kernels.explain('route_scan', *tensors).startswith('route_scan: cpu serves')
    tensors = selective(3).tensors.values()
    text = mamba_kernels.explain('selective_scan', *tensors)
    assert text.startswith('selective_scan: chunked serves')
    assert 'not made for torch.float64' in text
    with mamba_kernels.use_backend('reference'):
        text = mamba_kernels.explain('selective_scan', *tensors)
        assert text.startswith('selective_scan: reference serves (by use_backend)')
    with pytest.raises(ValueError, match='known: selective_scan, route_scan'):
        mamba_kernels.explain('scan')


BLOCKED = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))
import torch
import mamba_kernels
loaded = set(sys.modules)
assert not any('triton_gpu' in name or 'mamba_kernels.build' in name for name in loaded), loaded
u = torch.ones(1, 2, 3)
matrix = torch.ones(1, 1, 3)
mamba_kernels.selective_scan(u, u, -torch.ones(2, 1), matrix, matrix, backend='chunked')
assert 'triton' not in mamba_kernels.available_backends()
"""


def test_torch_alone_is_enough():
    blocked = ('triton', 'mmengine', 'mmcv', 'mmseg', 'mamba_dense', 'numpy')
    code = BLOCKED.format(blocked=blocked)
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
