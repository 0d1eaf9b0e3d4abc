"""Where one-stage detectors spend their time: a picture in, boxes out, stage by stage.

    python tools/benchmark_stages.py [CONFIG ...] [--shape HEIGHT WIDTH] [--threads N]

A config is a file, or a name in mmdet such as mmdet::yolox/yolox_tiny_8xb8-300e_coco.py. Weights
are random: thresholds are set so that each detector finds about 100 boxes. Without configs:
Mamba-YOLO-T beside mmdet's YOLOX-tiny and RTMDet-tiny.
"""

import argparse
import logging
import sys
import warnings
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hub import get_config

from mamba_dense.apis.progress import Progress
from mamba_dense.apis.stages import table, time_stages
from mamba_dense.engine.shipped import configs
from mamba_kernels import available_backends

DEFAULT = (
    str(configs() / 'mamba_yolo' / 'mamba-yolo-t_8xb64-300e_coco.py'),
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', default=DEFAULT, help='files, or mmdet::NAME')
    parser.add_argument('--shape', nargs=2, type=int, default=(640, 640), metavar=('H', 'W'))
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--threads', type=int, help='CPU threads; default: torch decides')
    parser.add_argument('--device', default='cpu', help='cpu, cuda, ...')
    return parser.parse_args()


def read(name: str) -> tuple[str, Config]:
    """The short name and the config of a detector."""
    cfg = get_config(name) if '::' in name else Config.fromfile(name)
    return Path(name.rpartition('::')[2]).stem, cfg


def main() -> int:
    """0, or 1 with the reason why a detector cannot be timed."""
    args = parse_args()
    logging.basicConfig(level=logging.ERROR)
    warnings.filterwarnings('ignore')
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    progress = Progress('rounds', args.rounds)
    try:
        results = time_stages(
            [read(name) for name in args.configs],
            tuple(args.shape),
            rounds=args.rounds,
            device=args.device,
            on_round=progress.step,
        )
    except (ValueError, OSError, KeyError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    height, width = args.shape
    print(
        f'{args.device}, {torch.get_num_threads()} threads, torch {torch.__version__}, scan '
        f'backends {", ".join(available_backends())}; {height}x{width}, batch 1, milliseconds, '
        f'medians (fastest) of {args.rounds} rounds'
    )
    print(table(results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
