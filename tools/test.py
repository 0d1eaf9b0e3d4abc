"""Score a checkpoint, the authors' or ours, on the test data of a config.

    python tools/test.py CONFIG CHECKPOINT

Detectors also leave WORK_DIR/evaluation: precision-recall curves (each class, IoU 0.5 and 0.75)
and a confusion matrix, of boxes and of masks, as CSV and as SVG. Networks of change detection are
scored on degraded pairs with --robustness; WORK_DIR/robustness then has the table and the curves.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

from mmengine.config import Config, DictAction

from mamba_dense.engine.distributed import LAUNCHERS
from mamba_dense.engine.evaluate import evaluate
from mamba_dense.engine.guards import find_guard
from mamba_dense.weights.save import atomic_write

# as mamba_dense.change.degrade describes them
DEGRADATIONS = ('blur', 'noise', 'jpeg', 'shift')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        '--score', type=float, default=0.3, help='least score of objects in the confusion matrix'
    )
    parser.add_argument(
        '--robustness',
        nargs='*',
        choices=DEGRADATIONS,
        metavar='KIND',
        help=f'score degraded pairs, too: {", ".join(DEGRADATIONS)}; all of them unless named',
    )
    parser.add_argument(
        '--levels', nargs='+', type=int, default=[1, 2, 3, 4, 5], help='of --robustness, from 1 up'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the draws of --robustness')
    parser.add_argument('--iou', type=float, default=0.5, help='least IoU in the confusion matrix')
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


def prepare(cfg: Config, folder: Path, score: float, iou: float) -> bool:
    """Check the test data; whether the scores will leave curves in `folder`."""
    checks = find_guard(cfg)
    if checks is not None:
        checks.guard(cfg, keys=('test_dataloader',))
    if cfg.get('default_scope') == 'mmdet':
        from mamba_dense.detection.metrics import use_curves

        return use_curves(cfg, folder, score=score, iou=iou)
    return False


def draw(folder: Path, title: str) -> None:
    """The pictures of what an evaluation left in `folder`."""
    from mamba_dense.apis.detection_report import write_drawings

    drawn = write_drawings(folder, title)
    print(f'{len(drawn)} drawings of curves and confusion, and their tables: {folder}')


def degrade(cfg: Config, args: argparse.Namespace) -> None:
    """Score degraded pairs; table, CSV and curves in the work folder.

    Raises:
        ValueError: the config is none of change detection, or a level is not known.
    """
    checks = find_guard(cfg)
    if checks is None or checks.__name__ != 'mamba_dense.change.guard':
        raise ValueError('--robustness degrades pairs: it is for configs of change detection')
    if args.tta:
        raise ValueError('--robustness and --tta exclude each other')
    from mmengine.dist import is_main_process

    from mamba_dense.apis.robustness_report import scores_by_condition, text_table, write_robustness
    from mamba_dense.change.robustness import evaluate_degraded

    rows = evaluate_degraded(
        cfg,
        args.checkpoint,
        kinds=args.robustness or DEGRADATIONS,
        levels=args.levels,
        seed=args.seed,
        launcher=args.launcher,
        trusted=args.trusted,
    )
    if is_main_process():
        folder = Path(cfg.work_dir) / 'robustness'
        write_robustness(rows, folder, args.config.stem)
        if args.out is not None:
            text = json.dumps(scores_by_condition(rows), indent=2) + '\n'
            atomic_write(args.out, lambda part: part.write_text(text))
        print(f'{text_table(rows)}\nTable (CSV) and curves (SVG): {folder}')


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
        folder = Path(cfg.work_dir) / 'evaluation'
        curves = prepare(cfg, folder, args.score, args.iou)
        if args.robustness is not None:
            degrade(cfg, args)
            return 0
        evaluate(
            cfg,
            args.checkpoint,
            launcher=args.launcher,
            tta=args.tta,
            trusted=args.trusted,
            out=args.out,
            then=partial(draw, folder, args.config.stem) if curves else None,
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
