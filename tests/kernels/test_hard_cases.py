"""Where scans break: sizes beyond 32 bits, one step, shared memory, a machine that cannot build."""

import os
import subprocess
import sys

import pytest
import torch
from torch._subclasses import FakeTensorMode

from mamba_kernels import dispatch, route_scan, selective_scan

from .cases import CUDA, FAST, GRADIENT, OUTPUT, Case, check, compare, routed, selective, weights_of

BACKENDS = pytest.mark.parametrize('backend', FAST)
OPS = pytest.mark.parametrize('op', dispatch.OPS)


def device_of(op, backend):
    """Where a backend runs here, interpreted too; skips with its reason where it cannot."""
    reason = dispatch.unavailable(op, backend)
    if reason is not None:
        pytest.skip(reason)
    return 'cuda' if CUDA and backend == 'triton' else 'cpu'


def tiny(op, *, batch=1, length=3):
    if op == 'selective_scan':
        return selective(length, batch=batch, dim=3, state=2)
    return routed((1, length), batch=batch, dim=3, state=2, rank=2, routes='bidirectional')


class TestMoreElementsThan32BitsCount:
    """Shapes only, nothing of the size is allocated; the values are test_gpu_backends's."""

    BATCH, DIM, TOKENS = 5, 1024, 2**20  # 5.4e9 elements

    @BACKENDS
    def test_selective_scan(self, backend):
        device_of('selective_scan', backend)
        with FakeTensorMode():
            u = torch.empty(self.BATCH, self.DIM, self.TOKENS, requires_grad=True)
            A = torch.empty(self.DIM, 2)
            B = torch.empty(self.BATCH, 2, self.TOKENS, requires_grad=True)
            y = selective_scan(u, u, A, B, B, backend=backend)
            y.sum().backward()
            assert y.shape == u.shape == u.grad.shape
            assert B.grad.shape == B.shape

    @BACKENDS
    def test_route_scan(self, backend):
        device_of('route_scan', backend)
        table = torch.arange(self.TOKENS, dtype=torch.int32).expand(2, -1)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            x = torch.empty(self.BATCH, self.TOKENS, self.DIM, requires_grad=True)
            params = torch.empty(self.BATCH, self.TOKENS, 2, 5, requires_grad=True)
            weight, bias = torch.empty(2, self.DIM, 1), torch.empty(2, self.DIM)
            A, D = torch.empty(2, self.DIM, 2), torch.empty(2, self.DIM)
            table = mode.from_tensor(table)
            y = route_scan(x, params, weight, bias, A, D, table, backend=backend)
            y.sum().backward()
            assert y.shape == x.shape == x.grad.shape
            assert params.grad.shape == params.shape

    def test_more_tokens_than_a_table_can_name(self):
        def meta(*shape):
            return torch.empty(shape, device='meta')

        tokens = 2**31
        with pytest.raises(ValueError, match='x has 2147483648 tokens; .* at most 2147483647'):
            parameters = (meta(1, 1, 1), meta(1, 1), meta(1, 1, 1), meta(1, 1))
            route_scan(meta(1, tokens, 1), meta(1, tokens, 1, 3), *parameters, 'forward')


@BACKENDS
@OPS
def test_one_step(op, backend):
    check(tiny(op, length=1), backend, torch.float32, device_of(op, backend))


@BACKENDS
@OPS
def test_inputs_that_share_their_memory(op, backend):
    """Every batch item, channel and parameter is the same number: strides of zero throughout."""
    device = device_of(op, backend)
    case = tiny(op, batch=2).to(torch.float32, device)
    shared = {
        name: tensor.flatten()[:1].view((1,) * tensor.dim()).expand(tensor.shape)
        for name, tensor in case.tensors.items()
    }
    written = {name: tensor.contiguous() for name, tensor in shared.items()}
    weights = weights_of(Case(op, written, case.options))
    plain = Case(op, written, case.options).run_both(backend, weights)
    got = Case(op, shared, case.options).run_both(backend, weights)
    for one, other in zip(got, plain, strict=True):
        compare(one, other, OUTPUT)


@BACKENDS
def test_one_tensor_given_twice(backend):
    """Its gradient is the sum of all parts."""
    device = device_of('selective_scan', backend)
    case = tiny('selective_scan').to(torch.float32, device)
    u, A, B = (case.tensors[name].detach().requires_grad_() for name in ('u', 'A', 'B'))

    def gradients(name):
        out = selective_scan(u, u, A, B, B, z=u, delta_softplus=True, backend=name)
        return dict(zip('uAB', torch.autograd.grad(out.sum(), (u, A, B)), strict=True))

    compare(gradients(backend), gradients('reference'), GRADIENT)


@BACKENDS
@OPS
def test_double_backward_is_refused(op, backend):
    device = device_of(op, backend)
    case = tiny(op).to(torch.float32, device)
    leaf = case.tensors['A'].requires_grad_()
    out = case.run(backend)['out']
    (gradient,) = torch.autograd.grad(out.square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match='backend=.reference'):
        gradient.sum().backward()


@pytest.mark.parametrize('backend', ['cpu', 'chunked'])
@OPS
def test_threads_change_no_bit_where_all_have_work(op, backend):
    """Sizes at which torch and the C++ kernels do share the work among threads."""
    device_of(op, backend)
    if op == 'selective_scan':
        case = selective(1000, dim=96, state=4)
    else:
        case = routed((20, 30), dim=96, state=4, routes='bidirectional')
    case = case.to(torch.float32)
    weights = {'out': torch.randn(case.run(backend)['out'].shape)}
    runs = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        results, gradients = case.run_both(backend, weights)
        runs.append({**results, **gradients})
    for name, value in runs[0].items():
        assert torch.equal(value, runs[1][name]), f'{name} changes with the threads'
        assert torch.equal(runs[1][name], runs[2][name]), f'{name} changes from run to run'


CALLS = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter('always')
    import torch, mamba_kernels
    u, matrix = torch.ones(1, 2, 3), torch.ones(1, 1, 3)
    for _ in range(3):
        y = mamba_kernels.selective_scan(u, u, -torch.ones(2, 1), matrix, matrix)
    params, table = torch.ones(1, 3, 1, 3), torch.arange(3, dtype=torch.int32)[None]
    ones = torch.ones(1, 2, 1)
    for _ in range(3):
        mamba_kernels.route_scan(u.mT, params, ones, ones[..., 0], -ones, ones[..., 0], table)
print(bool(y.isfinite().all()), len([w for w in said if 'cannot run here' in str(w.message)]))
print(*[w.message for w in said])
print(mamba_kernels.explain('selective_scan', u, u, -torch.ones(2, 1)).splitlines()[0])
"""


@pytest.mark.parametrize('fault', ['compiler', 'cache'])
def test_a_machine_that_cannot_build(fault, tmp_path):
    """Calls that name no backend are served by the chunked one, after one notice for both ops."""
    fake = tmp_path / 'c++'
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo fake 1.0 && exit\nexit 1\n')
    fake.chmod(0o755)
    (tmp_path / 'file').write_text('')
    folder = tmp_path / ('cache' if fault == 'compiler' else 'file/cache')
    added = {'CXX': str(fake), 'MAMBA_KERNELS_CACHE': str(folder), 'CUDA_VISIBLE_DEVICES': ''}
    environment = {**os.environ, **added, 'TRITON_INTERPRET': '0'}
    for name in ('MAMBA_KERNELS_BUILD', 'MAMBA_KERNELS_BACKEND'):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, '-c', CALLS], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    counted, notice, served = done.stdout.splitlines()
    assert counted == 'True 1', done.stdout
    assert ('failed' if fault == 'compiler' else 'MAMBA_KERNELS_CACHE') in notice
    assert served.startswith('selective_scan: chunked serves')
