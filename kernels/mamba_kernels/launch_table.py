"""The launch table: how a Triton launch is cut into programs, by GPU and state. No call tunes.

DEFAULT follows from instructions counted in compiled code (tests/kernels/test_triton_compile.py)
and waits for a timed run on a GPU. `python kernels/benchmarks/run.py --tune` measures rows for the
GPU it runs on and writes them to `path()`; processes started later launch by them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .build import cache


@dataclass(frozen=True)
class Launch:
    """How the work is cut.

    Args:
        blocks: channels of a program, widest first: the wider, the fewer instructions a channel,
            as long as the registers hold the state.
        warps: of a program; more than one share a state through memory.
        parallel: programs from which on each takes a whole route.
        fill: programs to aim at where a route has to be cut into chunks.
        shortest: steps of a chunk, except where a test asks for more chunks.
    """

    blocks: tuple[int, ...]
    warps: int = 1
    parallel: int = 800
    fill: int = 1500
    shortest: int = 128


# by the size to which a state is padded
DEFAULT = {
    1: Launch((128, 64, 32)),
    2: Launch((64, 32)),
    4: Launch((64, 32)),
    8: Launch((64, 32)),
    16: Launch((32,)),
    32: Launch((16,)),
    64: Launch((8,)),
}

NUMBERS = ('warps', 'parallel', 'fill', 'shortest')

_forced: list[Launch] = []


def path() -> Path:
    """The file of measured rows, in the cache of the built libraries; it need not exist."""
    return cache() / 'launch_table.json'


@contextlib.contextmanager
def use(launch: Launch) -> Iterator[None]:
    """Within the block every launch is cut like this."""
    _forced.append(launch)
    try:
        yield
    finally:
        _forced.pop()


def find(gpu: str, state: int) -> Launch:
    """The row of a GPU, by its name, and a padded state; else the default."""
    if _forced:
        return _forced[-1]
    return _measured(path()).get((gpu, state), DEFAULT[state])


def read(file: Path) -> dict[tuple[str, int], Launch]:
    """The measured rows of a file; none where there is no file.

    Raises:
        ValueError: the file holds something else.
    """
    if not file.is_file():
        return {}
    try:
        rows = json.loads(file.read_text())
        return {
            (row['gpu'], row['state']): Launch(tuple(row['blocks']), *(row[f] for f in NUMBERS))
            for row in rows
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{file} is no launch table ({error!r}): remove it, or write it again by '
            'kernels/benchmarks/run.py --tune'
        ) from error


def write(file: Path, rows: Mapping[tuple[str, int], Launch]) -> None:
    """Add rows to a file, in the place of those of the same GPU and state."""
    merged = sorted({**read(file), **rows}.items())
    text = json.dumps(
        [{'gpu': gpu, 'state': state, **asdict(launch)} for (gpu, state), launch in merged],
        indent=1,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix('.part')
    part.write_text(f'{text}\n')
    part.replace(file)
    _measured.cache_clear()


@functools.cache
def _measured(file: Path) -> dict[tuple[str, int], Launch]:
    """Rows for the launches of this process; a file that cannot be read is said once."""
    try:
        return read(file)
    except (ValueError, OSError) as error:
        warnings.warn(f'mamba_kernels: {error}; the default serves', RuntimeWarning, stacklevel=2)
        return {}
