"""Building the C++ kernels: once, into the cache, and with a reason where that cannot be."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mamba_kernels import build


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache of this test's own, no compiler chosen, building allowed."""
    monkeypatch.setenv('MAMBA_KERNELS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('MAMBA_KERNELS_BUILD', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    return tmp_path / 'cache'


def reason() -> str | None:
    """What a fresh process would be told."""
    return build.load.__wrapped__()


def fake_compiler(folder, monkeypatch, script):
    """A compiler that answers `--version` and then does what `script` says."""
    path = folder / 'fake-c++'
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo fake 1.0; exit; fi\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv('CXX', str(path))


@pytest.mark.usefixtures('empty_cache')
def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert reason() == 'no C++ compiler: set CXX or install g++ or clang++'


@pytest.mark.usefixtures('empty_cache')
def test_building_switched_off(monkeypatch):
    monkeypatch.setenv('MAMBA_KERNELS_BUILD', '0')
    assert 'MAMBA_KERNELS_BUILD=0' in reason()


def test_a_broken_compiler(empty_cache, tmp_path, monkeypatch):
    fake_compiler(tmp_path, monkeypatch, 'echo "x.cpp:1: error: broken" >&2; exit 1')
    text = reason()
    assert 'error: broken' in text and '\n' not in text
    assert not list(empty_cache.glob('*.so'))


def test_a_library_that_does_not_load(empty_cache, tmp_path, monkeypatch):
    script = 'for last; do :; done; echo nonsense > "$last"'  # whatever is asked for
    fake_compiler(tmp_path, monkeypatch, script)
    assert reason() is not None
    assert list(empty_cache.glob('*.so'))


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MAMBA_KERNELS_CACHE', str(tmp_path / 'file' / 'cache'))
    monkeypatch.delenv('MAMBA_KERNELS_BUILD', raising=False)
    if build.compiler() is None:
        pytest.skip('no C++ compiler')
    assert 'set MAMBA_KERNELS_CACHE' in reason()


def test_two_builders_compile_once(empty_cache, tmp_path, monkeypatch):
    counter = tmp_path / 'links'
    script = (
        'for last; do :; done; touch "$last"; '
        f'case "$*" in *-shared*) echo x >> {counter}; sleep 0.2;; esac'
    )
    fake_compiler(tmp_path, monkeypatch, script)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: build.build(), range(2))
    assert first == second and first.parent == empty_cache
    assert counter.read_text() == 'x\n'
    build.build(force=True)
    assert counter.read_text() == 'x\nx\n'
    assert {path.suffix for path in empty_cache.iterdir()} == {'.so', '.lock'}


def test_the_key_follows_source_and_compiler(empty_cache, tmp_path, monkeypatch):
    fake_compiler(tmp_path, monkeypatch, 'for last; do :; done; touch "$last"')
    ours = build.build()
    assert ours.parent == empty_cache
    monkeypatch.setattr(build, 'FLAGS', (*build.FLAGS, '-DOTHER'))
    assert build.build() != ours
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert build.find() != ours  # any compiler's library of the same sources serves without one


def test_command_without_a_compiler(empty_cache, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    command = [sys.executable, '-m', 'mamba_kernels.build']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'chunked backend serves' in done.stderr and 'Traceback' not in done.stderr
    assert not empty_cache.exists()
