"""Write or check segmentation data: bundled samples, your own folders, the data of a config."""

import argparse
import json
import sys
from pathlib import Path

from mamba_dense.segmentation.data_check import DataError, folder_problems
from mamba_dense.segmentation.prepare import SAMPLES, write_folder, write_sample
from mamba_dense.segmentation.template import write_config


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    sample = commands.add_parser('samples', help='write a bundled data set')
    sample.add_argument('--name', choices=SAMPLES, default='nuclei')
    sample.add_argument('--out', type=Path, help='folder; data/NAME unless given')
    folder = commands.add_parser(
        'folder', help='images and masks of your own -> checked mmseg layout'
    )
    folder.add_argument('--images', type=Path, required=True, help='folder of images')
    folder.add_argument(
        '--masks', type=Path, required=True, help='folder of masks of the same names'
    )
    folder.add_argument('--out', type=Path, required=True, help='folder to write to')
    folder.add_argument(
        '--classes', nargs='+', required=True, help='names, in the order of the numbers'
    )
    folder.add_argument(
        '--values',
        nargs='+',
        metavar='VALUE=CLASS',
        help='mask value -> class number, e.g. 0=0 128=1 64=255 (255: ignored)',
    )
    folder.add_argument('--val', type=float, default=0.2, help='share of the images that validates')
    folder.add_argument('--seed', type=int, default=0, help='of the split')
    folder.add_argument('--config', type=Path, help='also write a config to train with')
    check = commands.add_parser(
        'check', help='look through a prepared folder, or the data of a config'
    )
    check.add_argument('target', type=Path, help='folder or config file')
    return parser.parse_args()


def prepare_folder(args: argparse.Namespace) -> str:
    """The `folder` command; what it did."""
    values = None
    if args.values is not None:
        try:
            pairs = [entry.split('=') for entry in args.values]
            values = {int(value): int(number) for value, number in pairs}
        except ValueError:
            raise ValueError(f'--values {args.values}: write VALUE=CLASS, e.g. 0=0 255=1') from None
    counts = write_folder(
        args.images,
        args.masks,
        args.out,
        classes=args.classes,
        values=values,
        val_share=args.val,
        seed=args.seed,
    )
    text = f'{args.out}: {counts["train"]} images to train, {counts["val"]} to validate'
    if args.config is not None:
        write_config(args.config, args.out)
        text += f'\n{args.config}: start with  python tools/train.py {args.config}'
    return text


def check(target: Path) -> str:
    """The `check` command; what it found."""
    if target.is_dir():
        problems = list(folder_problems(target))
    else:
        from mmengine.config import Config

        from mamba_dense.segmentation.guard import config_problems

        problems = list(config_problems(Config.fromfile(target), full=sys.maxsize))
    if problems:
        raise DataError(problems)
    return f'{target}: no problem found'


def main() -> int:
    """Run the chosen command; 1 and a message if it is refused."""
    args = parse_args()
    try:
        if args.command == 'samples':
            out = write_sample(args.name, args.out or Path('data') / args.name)
            text = f'{args.name} written to {out}'
        elif args.command == 'folder':
            text = prepare_folder(args)
        else:
            text = check(args.target)
    except (ValueError, OSError, json.JSONDecodeError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    sys.stdout.write(f'{text}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
