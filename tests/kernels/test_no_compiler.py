"""Without a compiler everything runs in the chunked form, after one notice."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter('always')
    import torch
    import mamba_kernels
    from mamba_dense.backbones import Vim, VMamba

    torch.manual_seed(0)
    for kind in (VMamba, Vim):
        model = kind('nano', drop_path_rate=0.0)
        x = torch.randn(1, 3, 32, 48)
        out = model(x)
        sum(y.square().mean() for y in out).backward()
        assert all(p.grad is not None for p in model.stem.parameters())
        with mamba_kernels.use_backend('reference'), torch.no_grad():
            wanted = model(x)
        for y, expected in zip(out, wanted, strict=True):
            torch.testing.assert_close(y.detach(), expected, rtol=1e-4, atol=1e-5)
print(*mamba_kernels.available_backends())
print(*[w.message for w in said if 'mamba_kernels' in str(w.message)], sep=' | ')
print(mamba_kernels.explain('selective_scan', x, x, x))
"""


@pytest.mark.parametrize('missing', ['path', 'permission'])
def test_networks_run_in_the_chunked_form(missing, tmp_path):
    """No program is found at all; or none may be built, and the cache is empty."""
    environment = {**os.environ, 'MAMBA_KERNELS_CACHE': str(tmp_path / 'cache')}
    for name in ('CXX', 'MAMBA_KERNELS_BUILD', 'MAMBA_KERNELS_BACKEND', 'TRITON_INTERPRET'):
        environment.pop(name, None)
    if missing == 'path':
        environment['PATH'] = str(tmp_path / 'nothing')
    else:
        environment['MAMBA_KERNELS_BUILD'] = '0'
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    backends, notices, explained = done.stdout.split('\n', 2)
    assert 'cpu' not in backends.split() and 'chunked' in backends.split()
    reason = 'no C++ compiler' if missing == 'path' else 'MAMBA_KERNELS_BUILD=0'
    assert notices.count('cannot run here') == 1 and reason in notices
    assert 'the chunked backend serves instead' in notices
    assert explained.startswith('selective_scan: chunked serves (chosen by itself)')
    assert reason in explained
    assert not (tmp_path / 'cache').exists()
