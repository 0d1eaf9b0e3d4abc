"""Taking turns: contenders are timed round after round in one process. Needs torch alone."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch


@dataclass(frozen=True)
class Times:
    """Milliseconds of the rounds of one contender."""

    median: float
    least: float
    most: float


def clock(device: str) -> Callable[[], float]:
    """Seconds: of the process with one CPU thread, else of the wall, after the GPU is done."""
    if device != 'cpu':
        return _after_gpu
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def _after_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def take_turns(
    steps: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, Times]:
    """Time each step once a round, in turn, after one round that does not count."""
    now = clock(device)
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = now()
            step()
            if turn:
                spent[name].append((now() - start) * 1e3)
    return {name: Times(median(ms), min(ms), max(ms)) for name, ms in spent.items()}


def machine(device: str) -> str:
    """What the figures hold for: processor or GPU, threads, versions."""
    if device == 'cpu':
        info = Path('/proc/cpuinfo')
        lines = info.read_text().splitlines() if info.is_file() else []
        names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
        name = f'{names[0] if names else platform.machine()}, {torch.get_num_threads()} thread(s)'
    else:
        name = torch.cuda.get_device_name()
    return f'{name}; torch {torch.__version__}'
