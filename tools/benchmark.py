"""Speed of networks on this machine: interleaved rounds, medians.

python tools/benchmark.py CONFIG_OR_NAME [MORE ...] [--shape HEIGHT WIDTH] [--training]
python tools/benchmark.py --table [FAMILY ...] [--sizes 224 512] [--threads 2] [--out FOLDER]
"""

import argparse
import logging
import platform
import sys
import warnings
from pathlib import Path

import torch

from mamba_dense.apis.progress import Progress
from mamba_dense.apis.speed import Speed, compare
from mamba_dense.apis.speed_table import entries, time_table, to_csv, to_markdown
from mamba_dense.weights.save import atomic_write
from mamba_kernels import available_backends


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', help='config files or names of models')
    parser.add_argument(
        '--table',
        nargs='*',
        metavar='FAMILY',
        help='backbones of these families, or of all, beside Swin-T and ResNet-50',
    )
    parser.add_argument('--sizes', nargs='+', type=int, default=(224, 512), help='with --table')
    parser.add_argument('--out', type=Path, help='with --table: folder for speed.csv and speed.md')
    parser.add_argument('--shape', nargs=2, type=int, default=(512, 512), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--threads', type=int, help='CPU threads; default: torch decides')
    parser.add_argument('--device', help='cpu, cuda, ...; default: the GPU if there is one')
    parser.add_argument('--training', action='store_true', help='forward and backward')
    args = parser.parse_args()
    if bool(args.configs) == (args.table is not None):
        parser.error('give configs or names of models, or --table')
    return args


def line(speed: Speed, batch: int) -> str:
    """One network's figures as text."""
    spread = f'{speed.fastest * 1e3:.1f} to {speed.slowest * 1e3:.1f}'
    rate = batch / speed.median
    return f'{speed.median * 1e3:9.1f} ms ({spread})  {rate:8.2f} pictures/s  {speed.name}'


def machine(device: str | None) -> str:
    """What the figures hold for: device, threads, versions, scan backends."""
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    name = torch.cuda.get_device_name(device) if device.startswith('cuda') else platform.machine()
    threads = f', {torch.get_num_threads()} threads' if device == 'cpu' else ''
    backends = ', '.join(available_backends())
    return f'{device}: {name}{threads}; torch {torch.__version__}; scan backends: {backends}'


def table(args: argparse.Namespace) -> None:
    """Time the table's backbones; print it, and write it where --out says."""
    device = args.device or 'cpu'
    chosen = entries(args.table or None)
    progress = Progress('rounds', args.rounds * len(args.sizes))
    rows = time_table(chosen, args.sizes, rounds=args.rounds, device=device, on_round=progress.step)
    note = f'{machine(device)}; batch 1, eval, median of {args.rounds} rounds'
    text = to_markdown(chosen, rows)
    print(f'{note}\n\n{text}')
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        files = {'speed.md': f'{note}\n\n{text}\n', 'speed.csv': to_csv(rows, note)}
        for name, content in files.items():
            atomic_write(args.out / name, lambda part, content=content: part.write_text(content))


def networks(args: argparse.Namespace) -> None:
    """Time whole networks against each other and print a line for each."""
    progress = Progress('rounds', args.rounds)
    speeds = compare(
        args.configs,
        tuple(args.shape),
        batch=args.batch,
        rounds=args.rounds,
        training=args.training,
        device=args.device,
        on_round=progress.step,
    )
    what = 'forward and backward' if args.training else 'forward'
    height, width = args.shape
    print(machine(args.device))
    print(f'{what}, batch {args.batch}, {height}x{width}, median of {args.rounds} rounds (range)')
    for speed in speeds:
        print(line(speed, args.batch))


def main() -> int:
    """0, or 1 with the reason why a network cannot be timed."""
    args = parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger('mamba_dense').setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module='mmseg')
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    try:
        (networks if args.table is None else table)(args)
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
