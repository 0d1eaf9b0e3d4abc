"""Seeds, NaN-filled torch.empty and the shared places of the tests."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

# Triton reads this when it is first imported: without a GPU its kernels run in the interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items):
    """Leave out what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


@pytest.fixture(scope='session')
def root():
    """The top folder of the source tree."""
    return ROOT


@pytest.fixture(autouse=True)
def seeds():
    """The same random numbers in every test, whichever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def torch_defaults():
    """Hand back torch's process-wide settings as they were found."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.set_default_dtype(dtype)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@pytest.fixture
def nan_filled_empty(monkeypatch):
    """Fill what torch.empty and its kin return with NaN: an element that is never written shows.

    The Python entry points are patched; torch's own switch does the same for the C++ ones.
    """

    def filled(allocate):
        def call(*args, **kwargs):
            tensor = allocate(*args, **kwargs)
            if tensor.is_floating_point() and tensor.device.type != 'meta':
                tensor.data.fill_(float('nan'))
            return tensor

        return call

    for owner, name in (
        (torch, 'empty'),
        (torch, 'empty_like'),
        (torch, 'empty_strided'),
        (torch.Tensor, 'new_empty'),
        (torch.Tensor, 'new_empty_strided'),
    ):
        monkeypatch.setattr(owner, name, filled(getattr(owner, name)))
    monkeypatch.setattr(torch.utils.deterministic, 'fill_uninitialized_memory', True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if not torch.empty(3).isnan().all():
        raise RuntimeError('torch.empty is not filled with NaN')
