"""Searches the launch table for the GPU at hand: `python kernels/benchmarks/run.py --tune`.

For each state of the cases, field after field of a `Launch` takes the value with the least time of
forward and backward pass, summed over the state's cases, each relative to the table as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mamba_kernels.launch_table import Launch, find, use, write

CHOICES: Mapping[str, tuple] = {
    'blocks': ((128, 64, 32), (64, 32), (128,), (64,), (32,), (16,), (8,)),
    'warps': (1, 2, 4),
    'parallel': (400, 800, 1600),
    'fill': (750, 1500, 3000),
    'shortest': (128, 256, 512),
}
GAIN = 0.02  # a value has to be faster by this share: less is noise


def search(
    start: Launch, cost: Callable[[Launch], float], choices: Mapping[str, tuple] = CHOICES
) -> tuple[Launch, float]:
    """The launch of least cost that is found by changing one field after another, and its cost."""
    best, least = start, cost(start)
    for field, values in choices.items():
        for value in values:
            candidate = replace(best, **{field: value})
            if candidate == best:
                continue
            price = cost(candidate)
            if price < least * (1 - GAIN):
                best, least = candidate, price
    return best, least


def padded(state: int) -> int:
    return 1 << max(state - 1, 0).bit_length()


def cost_of(
    cases: Sequence, milliseconds: Callable[[object], float], failures: tuple[type[Exception], ...]
) -> Callable[[Launch], float]:
    """Mean time relative to the first launch asked for; infinite where a launch cannot be built."""
    first: list[float] = []

    def cost(launch: Launch) -> float:
        try:
            with use(launch):
                times = [milliseconds(case) for case in cases]
        except failures:
            if not first:
                raise
            return math.inf
        if not first:
            first.extend(times)
        return sum(ms / ms0 for ms, ms0 in zip(times, first, strict=True)) / len(times)

    return cost


def tune(
    cases: Sequence,
    milliseconds: Callable[[object], float],
    gpu: str,
    file: Path,
    *,
    failures: tuple[type[Exception], ...] = (RuntimeError,),
    say: Callable[[str], None] = print,
) -> dict[tuple[str, int], Launch]:
    """Search each state of the cases; rows that gained are added to the file, one by one."""
    found = {}
    for state in sorted({padded(case.state) for case in cases}):
        alike = [case for case in cases if padded(case.state) == state]
        start = find(gpu, state)
        best, share = search(start, cost_of(alike, milliseconds, failures))
        say(f'state {state}: {share:.2f} of the time before with {best}')
        if best != start:
            found[gpu, state] = best
            write(file, {(gpu, state): best})
    return found
