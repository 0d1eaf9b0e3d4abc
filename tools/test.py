"""Score a checkpoint, the authors' or ours, on the test data of a config."""

import argparse
import os
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

from mamba_dense.engine.distributed import LAUNCHERS
from mamba_dense.engine.evaluate import evaluate


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('checkpoint', help='checkpoint: a path or a URL')
    parser.add_argument('--work-dir', help='where logs go; work_dirs/CONFIG unless given')
    parser.add_argument('--out', type=Path, help='also write the scores to this JSON file')
    parser.add_argument(
        '--tta', action='store_true', help='multi-scale and flip, as the config says'
    )
    parser.add_argument(
        '--trusted', action='store_true', help='run code that the checkpoint may hold (see README)'
    )
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


def main() -> int:
    """Test; 1 and a message where config, data or checkpoint do not allow it."""
    args = parse_args()
    try:
        if not args.config.is_file():
            raise FileNotFoundError(f'{args.config}: no such config')
        cfg = Config.fromfile(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
        cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{args.config.stem}'
        if cfg.get('default_scope') == 'mmseg':
            from mamba_dense.segmentation.guard import guard

            guard(cfg, keys=('test_dataloader',))
        elif cfg.get('default_scope') == 'mmdet':
            from mamba_dense.detection.guard import guard

            guard(cfg, keys=('test_dataloader',))
        evaluate(
            cfg,
            args.checkpoint,
            launcher=args.launcher,
            tta=args.tta,
            trusted=args.trusted,
            out=args.out,
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
