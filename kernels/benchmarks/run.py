"""Times the scans: `python kernels/benchmarks/run.py --out results.csv`.

One process; each case is checked against the float64 loop first, and not timed if it fails; then
the contenders take turns, round after round, each with a call to warm up and as many as fill its
turn. Times are process CPU time with one thread, wall time with more, and wall time between two
synchronisations on a GPU (`--device cuda`), in milliseconds; the ratio is that of the medians, lean
loop over contender.
"""

from __future__ import annotations

import argparse
import csv
import functools
import importlib.metadata
import importlib.util
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import baselines
import torch
from registry import CASES, GROWTH, Case, contenders
from resources import MIB, copy_bandwidth, peak_extra
from torch import Tensor
from tune import tune

import mamba_kernels
from mamba_kernels import launch_table

FORWARD_LIMIT, GRADIENT_LIMIT = 5e-7, 2e-6  # of the largest value, against float64
COLUMNS = (
    *('device', 'torch', 'python', 'triton', 'threads', 'clock', 'case', 'shape', 'mode'),
    *('contender', 'rounds', 'median_ms', 'min_ms', 'max_ms', 'updates_per_s', 'of_copy_speed'),
    *('inputs_mib', 'extra_mib', 'ratio_to_lean', 'ratio_to_chunked'),
    *(f'ratio_to_{name}' for name in baselines.BASELINES),
)
SLOW_CALL, TURN = 0.1, 0.05  # seconds: a slower call is timed alone, a faster one for a turn
Contender = Callable[[Sequence[Tensor]], Tensor]


def device_name(device: str) -> str:
    if device == 'cuda':
        return torch.cuda.get_device_name()
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return models[0] if models else platform.processor() or platform.machine()


def gpu_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def make_inputs(case: Case, device: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [spec.make(generator) for spec in case.inputs().values()]
    return [tensor.to(device, dtype).requires_grad_() for tensor in made]


def relative_error(value: Tensor, expected: Tensor) -> float:
    return float((value.double() - expected).abs().max() / expected.abs().max())


def faults(case: Case, names: Sequence[str], device: str) -> list[str]:
    """Where a contender's output or gradients leave the float64 lean loop at the small sizes."""
    small = case.small()
    exact = make_inputs(small, device, torch.float64)
    expected = small.lean(exact)
    dy = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(device)
    expected_grads = torch.autograd.grad(expected, exact, dy.double())
    found = []
    others = baselines.contenders(small, True, device)
    for contender, run in {**contenders(small, names), **others}.items():
        tensors = make_inputs(small, device)
        out = run(tensors)
        grads = torch.autograd.grad(out, tensors, dy)
        labels = ('output', *small.inputs())
        limits = (FORWARD_LIMIT, *[GRADIENT_LIMIT] * len(grads))
        if contender not in names:
            limits = (baselines.LIMIT,) * len(labels)
        pairs = zip((out.detach(), *grads), (expected.detach(), *expected_grads), strict=True)
        for label, limit, (value, wanted) in zip(labels, limits, pairs, strict=True):
            error = relative_error(value, wanted)
            if not error <= limit:
                found.append(f'{case.name} {contender} {label}: {error:.2e} above {limit:.0e}')
    return found


_ones: dict[tuple, Tensor] = {}


def ones_like(out: Tensor) -> Tensor:
    """The gradient that arrives: an input, so made once and counted with none."""
    key = (out.shape, out.device)
    if key not in _ones:
        _ones.clear()
        _ones[key] = torch.ones(out.shape, device=out.device)
    return _ones[key]


def call(contender: Contender, tensors: Sequence[Tensor], train: bool) -> None:
    with torch.set_grad_enabled(train):
        out = contender(tensors)
        if train:
            torch.autograd.grad(out, tensors, ones_like(out))


def timed(contender: Contender, tensors: Sequence[Tensor], train: bool, clock: Callable) -> float:
    """Milliseconds of a call: of the first if it is slow, else the mean of those after it."""
    started = clock()
    call(contender, tensors, train)
    first = clock() - started
    if first > SLOW_CALL:
        return first * 1e3
    calls = max(int(TURN / first), 3)
    started = clock()
    for _ in range(calls):
        call(contender, tensors, train)
    return (clock() - started) / calls * 1e3


def clock_of(device: str) -> Callable[[], float]:
    if device == 'cuda':
        return gpu_clock
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def versions(device: str) -> dict:
    installed = importlib.util.find_spec('triton') is not None and device == 'cuda'
    return {
        'device': device_name(device),
        'torch': torch.__version__,
        'python': platform.python_version(),
        'triton': importlib.metadata.version('triton') if installed else '',
    }


def take_turns(
    runs: dict[str, Contender], tensors: Sequence[Tensor], train: bool, rounds: int, clock: Callable
) -> dict[str, list[float]]:
    """Milliseconds of each contender in each round, after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, contender in runs.items():
            value = timed(contender, tensors, train, clock)
            if turn > 0:
                times[name].append(value)
    return times


def measure(case: Case, names: Sequence[str], train: bool, rounds: int, device: str) -> list[dict]:
    """One row a contender."""
    clock = clock_of(device)
    tensors = make_inputs(case, device)
    others = baselines.contenders(case, train, device)
    runs = {**contenders(case, names), **others}
    times = take_turns(runs, tensors, train, rounds, clock)
    median = {name: statistics.median(values) for name, values in times.items()}
    floor = case.least_bytes(train) / copy_bandwidth(device, clock) * 1e3  # ms
    inputs = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB
    rows = []
    for name, values in times.items():
        row = {
            **versions(device),
            'threads': torch.get_num_threads(),
            'clock': 'cpu' if clock is time.process_time else 'wall',
            'case': case.name,
            'shape': case.shape(),
            'mode': 'forward+backward' if train else 'forward',
            'contender': name,
            'rounds': rounds,
            'median_ms': round(median[name], 3),
            'min_ms': round(min(values), 3),
            'max_ms': round(max(values), 3),
            'ratio_to_lean': round(median['lean loop'] / median[name], 2),
            'of_copy_speed': f'{floor / median[name]:.3f}',
            'inputs_mib': f'{inputs:.1f}',
            'updates_per_s': f'{case.updates() / median[name] * 1e3:.3g}',
        }
        extra = peak_extra(functools.partial(call, runs[name], tensors, train), device)
        row['extra_mib'] = '' if extra is None else f'{extra:.1f}'
        for other in ('chunked', *others):
            if other in median:
                row[f'ratio_to_{other}'] = round(median[other] / median[name], 2)
        rows.append(row)
    return rows


def show(row: dict) -> None:
    print(
        f'{row["case"]:14}{row["mode"]:18}{row["threads"]} thread(s)  {row["contender"]:12}'
        f'{row["median_ms"]:10.2f} ms  ({row["min_ms"]:.2f} to {row["max_ms"]:.2f})'
        f'{row["ratio_to_lean"]:8.1f}x lean{row["extra_mib"]:>8} MiB extra',
        flush=True,
    )


def tune_here(cases: Sequence[Case]) -> int:
    """Search the launch table of this GPU over the cases; 0."""
    from triton.errors import TritonError

    def milliseconds(case: Case) -> float:
        if faults(case, ['triton'], 'cuda'):
            return math.inf
        tensors = make_inputs(case, 'cuda')
        call(lambda given: case.run(given, 'triton'), tensors, True)  # compiles
        return timed(lambda given: case.run(given, 'triton'), tensors, True, gpu_clock)

    file = launch_table.path()
    failures = (RuntimeError, ValueError, TritonError)
    found = tune(cases, milliseconds, torch.cuda.get_device_name(), file, failures=failures)
    print(f'{len(found)} rows written to {file}' if found else 'the table is as good: left alone')
    return 0


def grow(names: Sequence[str], rounds: int, device: str) -> int:
    """Print how the time of the routed scan grows with its tokens: 1 where it is linear; 0.

    Of each size the least time counts: a neighbour on the machine only ever adds, and most to the
    sizes that no cache holds.
    """
    first: dict[tuple, tuple[int, float]] = {}
    for case in GROWTH:
        tensors = make_inputs(case, device)
        runs = {
            name: contenders(case, names)[name] for name in names
        }  # the lean loop would take hours
        for train in (False, True):
            times = take_turns(runs, tensors, train, rounds, clock_of(device))
            for name in names:
                tokens, least = case.steps(), min(times[name])
                few, shortest = first.setdefault((name, case.state, train), (tokens, least))
                exponent = math.log(least / shortest) / (math.log(tokens / few) or 1.0)
                mode = 'forward+backward' if train else 'forward'
                text = (
                    f'{least:10.2f} ms  exponent {exponent:.3f}'
                    if tokens > few
                    else f'{least:10.2f} ms'
                )
                print(f'{case.name:14}{mode:18}{name:10}{text}', flush=True)
    return 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {case.name: case for case in CASES}
    parser.add_argument('--cases', nargs='+', default=list(known))
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--backends', nargs='+', help='by default cpu chunked, or triton chunked')
    parser.add_argument('--threads', nargs='+', type=int, default=[1])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--tune', action='store_true', help='search the launch table of this GPU, time nothing else'
    )
    parser.add_argument(
        '--grow', action='store_true', help='print the exponents of time over tokens'
    )
    parser.add_argument('--out', type=Path, default=Path('results.csv'))
    options = parser.parse_args()
    if options.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: no CUDA device is available')
    if options.tune and options.device != 'cuda':
        parser.error('--tune searches the launches of a GPU: add --device cuda')
    if options.backends is None:
        options.backends = ['triton' if options.device == 'cuda' else 'cpu', 'chunked']
    for name in options.cases:
        if name not in known:
            parser.error(f'--cases {name} is not known; known: {", ".join(known)}')
    for name in options.backends:
        if name not in mamba_kernels.available_backends():
            parser.error(f'--backends {name} is not available on this machine')
    options.cases = [known[name] for name in options.cases]
    return options


def main() -> int:
    options = parse_args()
    cases, names, device = options.cases, options.backends, options.device
    wrong = [line for case in cases for line in faults(case, names, device)]
    if wrong:
        print('not timed, since results are wrong:', *wrong, sep='\n  ', file=sys.stderr)
        return 1
    if options.tune:
        return tune_here(cases)
    if options.grow:
        return grow(names, options.rounds, device)
    print(*baselines.left_out(cases, device), sep='\n')
    with options.out.open('w', newline='') as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval='', lineterminator='\n')
        writer.writeheader()
        for threads in options.threads:
            torch.set_num_threads(threads)
            for case in cases:
                for train in (False, True):
                    for row in measure(case, names, train, options.rounds, device):
                        writer.writerow(row)
                        handle.flush()
                        show(row)
    return 0


if __name__ == '__main__':
    sys.exit(main())
