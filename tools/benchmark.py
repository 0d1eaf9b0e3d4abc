"""Speed of networks on this machine: interleaved rounds, medians.

python tools/benchmark.py CONFIG_OR_NAME [MORE ...] [--shape HEIGHT WIDTH] [--training]
"""

import argparse
import logging
import platform
import sys
import warnings

import torch

from mamba_dense.apis.progress import Progress
from mamba_dense.apis.speed import Speed, compare
from mamba_kernels import available_backends


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='config files or names of models')
    parser.add_argument('--shape', nargs=2, type=int, default=(512, 512), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--threads', type=int, help='CPU threads; default: torch decides')
    parser.add_argument('--device', help='cpu, cuda, ...; default: the GPU if there is one')
    parser.add_argument('--training', action='store_true', help='forward and backward')
    return parser.parse_args()


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


def main() -> int:
    """0, or 1 with the reason why a network cannot be timed."""
    args = parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger('mamba_dense').setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module='mmseg')
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    progress = Progress('rounds', args.rounds)
    try:
        speeds = compare(
            args.configs,
            tuple(args.shape),
            batch=args.batch,
            rounds=args.rounds,
            training=args.training,
            device=args.device,
            on_round=progress.step,
        )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    what = 'forward and backward' if args.training else 'forward'
    height, width = args.shape
    print(machine(args.device))
    print(f'{what}, batch {args.batch}, {height}x{width}, median of {args.rounds} rounds (range)')
    for speed in speeds:
        print(line(speed, args.batch))
    return 0


if __name__ == '__main__':
    sys.exit(main())
