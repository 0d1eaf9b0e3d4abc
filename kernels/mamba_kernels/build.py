"""Builds and loads the C++ kernels: once per source, flags and compiler, into the user's cache.

Importing this module does nothing. `load()` is called by the `cpu` backend at its first use;
`python -m mamba_kernels.build` builds ahead of time. The cache is MAMBA_KERNELS_CACHE, else
`mamba_kernels` in the user's cache folder. With MAMBA_KERNELS_BUILD=0 nothing is compiled; a
library that is already in the cache is still used.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

KERNEL_SOURCES = ('selective_scan.cpp', 'route_scan.cpp', 'route_back.cpp')
# No -ffast-math: it flushes denormals in the whole process and undoes the exponential's rounding.
FLAGS = (
    *('-std=c++17', '-O3', '-fno-math-errno', '-ffp-contract=fast'),
    *('-fPIC', '-fvisibility=hidden', '-w'),
)
TORCH_TARGET = '0x020a000000000000'  # the stable ABI of torch 2.10, good for every later version


@dataclass(frozen=True)
class InstructionSet:
    """One object each; which one runs is decided by the processor when the library loads."""

    name: str
    lanes: int
    flags: tuple[str, ...]


INSTRUCTION_SETS = {
    'x86_64': (
        InstructionSet('baseline', 4, ()),
        InstructionSet('avx2', 8, ('-mavx2', '-mfma')),
        InstructionSet(
            'avx512', 16, ('-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', '-mavx2', '-mfma')
        ),
    ),
    'aarch64': (InstructionSet('baseline', 4, ()),),
}
MACHINES = {'x86_64': 'x86_64', 'AMD64': 'x86_64', 'aarch64': 'aarch64', 'arm64': 'aarch64'}


class BuildError(RuntimeError):
    """The library cannot be had; the message is one line that names the cause and the way out."""


def sources() -> Path:
    """The C++ sources: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / 'csrc', package.parent / 'csrc'):
        if (folder / 'library.cpp').is_file():
            return folder
    raise BuildError(f'no C++ sources in {package / "csrc"}: reinstall mamba_dense')


def cache() -> Path:
    """The folder of built libraries; not created here."""
    chosen = os.environ.get('MAMBA_KERNELS_CACHE')
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get('XDG_CACHE_HOME')
    return (Path(base) if base else Path.home() / '.cache') / 'mamba_kernels'


def instruction_sets() -> tuple[InstructionSet, ...]:
    machine = platform.machine()
    if os.name != 'posix' or machine not in MACHINES:
        known = ', '.join(MACHINES)
        raise BuildError(f'{os.name} on {machine} is not built for; built for: posix on {known}')
    return INSTRUCTION_SETS[MACHINES[machine]]


def compiler() -> tuple[list[str], str] | None:
    """Command and version line of the C++ compiler: CXX, else c++, g++ or clang++."""
    chosen = os.environ.get('CXX', '').strip()
    for name in (chosen,) if chosen else ('c++', 'g++', 'clang++'):
        command = shlex.split(name)
        if shutil.which(command[0]) is None:
            continue
        asked = [*command, '--version']
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout:
            return command, answer.stdout.splitlines()[0]
    return None


def _digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode())
        total.update(b'\0')
    return total.hexdigest()[:16]


def _source_key() -> str:
    """Of all that decides what the library does; the stable ABI keeps torch's version out of it."""
    files = sorted(path for path in sources().iterdir() if path.suffix in ('.h', '.cpp'))
    settings = repr((FLAGS, TORCH_TARGET, instruction_sets()))
    return _digest(settings, *(path.read_bytes() for path in files))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.splitlines() or ['no message']
        cause = next((line for line in lines if 'error' in line), lines[0])
        raise BuildError(f'{command[0]} failed ({done.returncode}): {cause.strip()}')


def _compile(command: list[str], folder: Path, output: Path) -> None:
    """All objects side by side, then the link."""
    torch_home = Path(torch.__file__).parent
    jobs = []
    for isa in instruction_sets():
        macros = (f'-DMAMBA_ISA=mamba_{isa.name}', f'-DMAMBA_LANES={isa.lanes}')
        jobs += [(name, f'{isa.name}.{name}.o', (*isa.flags, *macros)) for name in KERNEL_SOURCES]
    includes = (f'-I{torch_home / "include"}', f'-I{torch_home / "include/torch/csrc/api/include"}')
    jobs.append(('library.cpp', 'library.o', (*includes, f'-DTORCH_TARGET_VERSION={TORCH_TARGET}')))
    jobs.reverse()  # the slowest first

    def compile_one(job: tuple[str, str, tuple[str, ...]]) -> None:
        name, target, flags = job
        _run([*command, *FLAGS, *flags, '-c', str(sources() / name), '-o', str(folder / target)])

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(compile_one, jobs))
    objects = [str(folder / target) for _, target, _ in jobs]
    _run(
        [*command, '-shared', *objects, f'-L{torch_home / "lib"}', '-ltorch_cpu', '-o', str(output)]
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time; the others wait and find the library."""
    import fcntl

    with path.open('w') as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(*, force: bool = False) -> Path:
    """Path of the library of these sources and this compiler, compiled now unless in the cache."""
    key, found = _source_key(), compiler()
    if found is None:
        raise BuildError('no C++ compiler: set CXX or install g++ or clang++')
    command, version = found
    target = cache() / f'scan-{key}-{_digest(version)}.so'
    if target.is_file() and not force:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_suffix('.lock')):
            if target.is_file() and not force:
                return target
            started = time.monotonic()
            notice = logging.getLogger(__name__).warning
            notice('mamba_kernels: building the C++ kernels, once (about 10 s)')
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                built = Path(folder) / target.name
                _compile(command, Path(folder), built)
                built.replace(target)
            notice('mamba_kernels: built %s in %.1f s', target, time.monotonic() - started)
    except OSError as error:
        reason = f'cache {target.parent} is not usable ({error}): set MAMBA_KERNELS_CACHE'
        raise BuildError(reason) from error
    return target


def find() -> Path:
    """The library to load, built on the spot if need be; any compiler's where there is none."""
    if os.environ.get('MAMBA_KERNELS_BUILD') != '0' and compiler() is not None:
        return build()
    ready = sorted(cache().glob(f'scan-{_source_key()}-*.so'))
    if ready:
        return ready[0]
    if os.environ.get('MAMBA_KERNELS_BUILD') == '0':
        reason = 'not built, and MAMBA_KERNELS_BUILD=0: run python -m mamba_kernels.build'
        raise BuildError(reason)
    raise BuildError('no C++ compiler: set CXX or install g++ or clang++')


@functools.cache
def load() -> str | None:
    """Loads the operators into `torch.ops.mamba_kernels_cpu`; where it cannot, why, in one line."""
    try:
        torch.ops.load_library(find())
        if torch.ops.mamba_kernels_cpu.lanes() < 1:
            return 'the C++ kernels have no instruction set for this processor'
    except (BuildError, OSError, RuntimeError) as error:
        return ' '.join(str(error).split())
    return None


def main() -> int:
    """`python -m mamba_kernels.build`: the exit status is 1 where the library cannot be built."""
    try:
        sys.stdout.write(f'{build(force="--force" in sys.argv[1:])}\n')
    except (BuildError, OSError) as error:
        sys.stderr.write(f'mamba_kernels: {error}; the chunked backend serves instead\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
