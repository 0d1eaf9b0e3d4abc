"""How much memory is free."""

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
