"""How much memory is free, and giving back what is."""

import ctypes
import sys
from pathlib import Path


def free_memory() -> int | None:
    """Bytes of memory that can be had, where the system says."""
    info = Path('/proc/meminfo')
    if not info.is_file():
        return None
    for line in info.read_text().splitlines():
        if line.startswith('MemAvailable:'):
            return int(line.split()[1]) * 1024
    return None


def give_back() -> None:
    """Ask the C library to give freed memory back to the system, where it can (glibc).

    It keeps arrays of less than 32 MB otherwise, in holes that others do not fit into.
    """
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None
    if trim is not None:
        trim(0)
