"""Examples in docstrings run as they stand."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    '.'.join(path.relative_to(base).with_suffix('').parts).removesuffix('.__init__')
    for base, package in ((ROOT, 'mamba_dense'), (ROOT / 'kernels', 'mamba_kernels'))
    for path in sorted((base / package).rglob('*.py'))
    if '>>> ' in path.read_text()
]


@pytest.mark.parametrize('module', MODULES)
def test_examples(module):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = doctest.testmod(importlib.import_module(module), optionflags=flags)
    assert results.attempted > 0
    assert results.failed == 0
