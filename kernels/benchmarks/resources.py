"""What a call is measured by beside its time: the speed of a copy, the peak of its memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

STATUS, CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')
MIB = 2**20


def copy_bandwidth(device: str, clock: Callable[[], float], size: int = 64 * MIB) -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(9):
        started = clock()
        target.copy_(source)
        times.append(clock() - started)
    return 2 * size / statistics.median(times)


def _resident(field: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_extra(call: Callable[[], None], device: str) -> float | None:
    """MiB by which a call raises what is in use; None where the system does not tell.

    On a GPU what torch allocates. On a CPU the resident memory of the process, everything
    included: results, scratch, the stacks of threads. `call` must have run before.
    """
    gc.collect()
    if device == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls have freed must not serve this one
        CLEAR.write_text('5')  # the peak starts anew
    except (AttributeError, OSError):
        return None
    before = _resident('VmRSS')
    call()
    return (_resident('VmHWM') - before) / MIB
