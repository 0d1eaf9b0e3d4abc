"""What the C++ backend promises alone: every instruction set is right, threads change no bit."""

import pytest
import torch

from mamba_kernels.selective_scan import cpu

from .cases import check, require, routed, selective, weights_of

CASES = {
    'selective': lambda: selective(123, dim=37, state=21),
    'grouped': lambda: selective(65, dim=60, state=16, groups=3),
    'routed': lambda: routed((9, 11), dim=37, state=6, rank=7),
    'routed_one_state': lambda: routed((7, 13), dim=50, state=1, rank=12),
}


@pytest.fixture
def kernels():
    """The operators; hands back the instruction set that the processor would get."""
    require('selective_scan', 'cpu')
    operators = torch.ops.mamba_kernels_cpu
    yield operators
    for name in ('avx512', 'avx2', 'baseline'):
        if operators.select_isa(name):
            return


@pytest.mark.parametrize('isa', ['avx512', 'avx2', 'baseline'])
@pytest.mark.parametrize('case', CASES)
@pytest.mark.usefixtures('nan_filled_empty')
def test_every_instruction_set(kernels, isa, case):
    if not kernels.select_isa(isa):
        pytest.skip(f'this processor lacks {isa}')
    check(CASES[case](), 'cpu', torch.float32)


def test_an_unknown_instruction_set_changes_nothing(kernels):
    lanes = kernels.lanes()
    assert kernels.select_isa('avx1024') == 0
    assert kernels.lanes() == lanes


@pytest.mark.usefixtures('kernels')
@pytest.mark.parametrize('case', CASES)
def test_threads_never_change_a_bit(case):
    case = CASES[case]()
    case, weights = case.to(torch.float32, 'cpu'), weights_of(case)
    runs = []
    for threads in (1, 2, 3, 1):
        torch.set_num_threads(threads)
        results, gradients = case.run_both('cpu', weights)
        runs.append([*results.values(), *gradients.values()])
    for run in runs[1:]:
        for first, other in zip(runs[0], run, strict=True):
            assert torch.equal(first, other)


@pytest.mark.usefixtures('kernels')
def test_too_large_a_state_is_refused():
    case = selective(3, dim=2, state=cpu.MOST_STATES + 1).to(torch.float32, 'cpu')
    with pytest.raises(ValueError, match='state=65.*1 to 64'):
        case.run('cpu')


@pytest.mark.usefixtures('kernels')
def test_denormals_survive_loading():
    """No floating-point flag of the process is changed by the library."""
    assert float(torch.tensor(1e-40) * 1) > 0
    assert 1e-310 * 1 > 0
