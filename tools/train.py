"""Train what a config describes: resume, mixed precision, one process or many."""

import argparse
import os
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

from mamba_dense.engine.distributed import LAUNCHERS
from mamba_dense.engine.guards import find_guard
from mamba_dense.engine.train import AUTO, run, settle


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go; work_dirs/CONFIG unless given'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const=AUTO,
        help='go on from a checkpoint; without a path from the last whole one in the work folder',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none', help='who starts the processes'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='override the config: key.sub=value'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """The config with its overrides and its work folder.

    Raises:
        FileNotFoundError: there is no such config; names the ones beside it.
    """
    if not args.config.is_file():
        near = ', '.join(sorted(file.name for file in args.config.parent.glob('*.py'))) or 'none'
        raise FileNotFoundError(f'{args.config}: no such config; in that folder: {near}')
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{args.config.stem}'
    return cfg


def main() -> int:
    """Train; 1 and a message where data, config or disk do not allow it."""
    args = parse_args()
    try:
        cfg = load_config(args)
        checks = find_guard(cfg)
        if checks is not None:
            checks.guard(cfg)
        notices = settle(cfg, launcher=args.launcher, resume=args.resume, amp=args.amp)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    run(cfg, notices)
    return 0


if __name__ == '__main__':
    sys.exit(main())
