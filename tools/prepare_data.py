"""Write or check data: bundled samples, your own folders, the data of a config."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from mamba_dense.engine.files import DataError
from mamba_dense.engine.guards import find_guard

# bundled data set -> the task whose package writes it
SAMPLES = {
    'nuclei': 'segmentation',
    'nuclei_instances': 'detection',
    'trees': 'detection',
    'brain_slices': 'medical',
    'brain_slices_disturbed': 'medical',
    'brain': 'medical',
    'brain_disturbed': 'medical',
}


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
    add_coco(commands)
    add_change(commands)
    add_medical(commands)
    check = commands.add_parser(
        'check', help='look through a prepared folder, or the data of a config'
    )
    check.add_argument('target', type=Path, help='folder or config file')
    return parser.parse_args()


def add_coco(commands) -> None:
    """Options of the `coco` command."""
    coco = commands.add_parser('coco', help='images and boxes or masks of your own -> COCO layout')
    coco.add_argument('--images', type=Path, required=True, help='folder of images')
    coco.add_argument(
        '--labels', type=Path, required=True, help='folder of label files; for csv the table'
    )
    coco.add_argument(
        '--format',
        required=True,
        choices=('yolo', 'csv', 'voc', 'instances'),
        help='YOLO text labels, a CSV of boxes, Pascal VOC XML, or instance-label images',
    )
    coco.add_argument('--out', type=Path, required=True, help='folder to write to')
    coco.add_argument(
        '--classes', nargs='+', required=True, help='names; for yolo in the order of the numbers'
    )
    coco.add_argument('--val', type=float, default=0.2, help='share of the images that validates')
    coco.add_argument('--seed', type=int, default=0, help='of the split')
    coco.add_argument(
        '--first-pixel',
        type=int,
        choices=(0, 1),
        default=0,
        help='csv and voc: 1 if pixels count from 1 and xmax is inside, as in Pascal VOC itself',
    )
    coco.add_argument(
        '--min-area', type=int, default=1, help='instances: fewer pixels are degenerate'
    )
    coco.add_argument(
        '--drop', action='store_true', help='leave out what cannot be used, and list it'
    )


def add_change(commands) -> None:
    """Options of the `change` command."""
    change = commands.add_parser('change', help='pairs of dates: check, cut, split, convert')
    change.add_argument('source', type=Path, help='folder such as LEVIR-CD/train')
    change.add_argument(
        '--check', action='store_true', help='only list every file with a problem, one a line'
    )
    change.add_argument(
        '--layout',
        default='folder',
        help='of SOURCE: folder (A B label), changemamba, sysu-cd, levir-cd, levir-cd-plus, '
        'whu-cd, second, xbd, xbd-targets, xbd-json, xbd-tiles',
    )
    change.add_argument('--task', default='bcd', help='bcd, scd (land cover) or bda (damage)')
    change.add_argument('--names', type=Path, help='file with one name a line; else every pair')
    change.add_argument('--out', type=Path, help='folder to write to')
    change.add_argument(
        '--as',
        dest='target',
        default='folder',
        help="layout to write; the papers' configs read changemamba, xbd and xbd-tiles",
    )
    change.add_argument('--tile', type=int, help='cut into squares of so many pixels')
    change.add_argument('--val', type=float, help='share of the pictures that validates')
    change.add_argument('--seed', type=int, default=0, help='of the split')
    change.add_argument(
        '--values',
        nargs='+',
        metavar='VALUE=CLASS',
        help="label value -> class number, e.g. 0=0 100=1, in place of the layout's own",
    )
    change.add_argument('--config', type=Path, help='also write a config to train with')


def add_medical(commands) -> None:
    """Options of the `medical` command."""
    medical = commands.add_parser(
        'medical', help='published medical sets: check, convert, split; bad cases are listed'
    )
    medical.add_argument('source', type=Path, help='folder as downloaded')
    medical.add_argument(
        '--layout',
        required=True,
        help='of SOURCE; to mmseg layout: isic, chest-xray, nnunet-png, synapse-slices; to '
        'nnU-Net raw: lits, acdc, synapse-volumes, nnunet',
    )
    medical.add_argument(
        '--check', action='store_true', help='only read every case and list faults'
    )
    medical.add_argument('--out', type=Path, help='folder to write to')
    medical.add_argument(
        '--val', type=float, help="share that validates; the data set's own split unless given"
    )
    medical.add_argument('--seed', type=int, default=0, help='of the split')


def prepare_medical(args: argparse.Namespace) -> tuple[str, list[str]]:
    """The `medical` command; what it did, and a line for each case left out.

    Raises:
        ValueError: `--out` is missing.
    """
    from mamba_dense.medical.converters import find_converter

    converter = find_converter(args.layout)
    source = converter.find(args.source)
    if args.check:
        problems = list(converter.problems(source))
        if problems:
            raise DataError(problems)
        return f'{args.source}: no problem found', []
    if args.out is None:
        raise ValueError('--out FOLDER says where to write; --check only looks')
    counts, left_out, notes = converter.write(source, args.out, val_share=args.val, seed=args.seed)
    shown = ', '.join(f'{count} in {subset}' for subset, count in counts.items())
    return '\n  '.join([f'{args.out}: {shown}', *notes]), left_out


def prepare_change(args: argparse.Namespace) -> str:
    """The `change` command; what it did or found.

    Raises:
        ValueError: `--out` is missing, or `--config` without a split to train and validate on.
    """
    from mamba_dense.change.data_check import pair_problems
    from mamba_dense.change.layouts import find_layout
    from mamba_dense.change.prepare import with_values, write_pairs
    from mamba_dense.change.template import write_config

    values = read_values(args.values)
    if args.check:
        layout = with_values(find_layout(args.layout, args.task), args.task, values)
        problems = list(pair_problems(args.source, layout, args.names))
        if problems:
            raise DataError(problems)
        return f'{args.source}: no problem found'
    if args.out is None:
        raise ValueError('--out FOLDER says where to write; --check only looks')
    if args.config is not None and args.val is None:
        raise ValueError('--config needs --val, the share of the pictures that validates')
    counts = write_pairs(
        args.source,
        args.out,
        layout=args.layout,
        task=args.task,
        target=args.target,
        tile=args.tile,
        val_share=args.val,
        seed=args.seed,
        names=args.names,
        values=values,
    )
    text = f'{args.out}: ' + ', '.join(f'{count} pairs in {name}' for name, count in counts.items())
    if args.config is not None:
        write_config(args.config, args.out, args.target, args.task)
        text += f'\n{args.config}: start with  python tools/train.py {args.config}'
    return text


def read_values(entries: list[str] | None) -> dict[int, int] | None:
    """`VALUE=CLASS` entries as numbers.

    Raises:
        ValueError: an entry is not of that form.
    """
    if entries is None:
        return None
    try:
        pairs = [entry.split('=') for entry in entries]
        return {int(value): int(number) for value, number in pairs}
    except ValueError:
        raise ValueError(f'--values {entries}: write VALUE=CLASS, e.g. 0=0 255=1') from None


def prepare_coco(args: argparse.Namespace) -> str:
    """The `coco` command; what it did, and all that it left out."""
    from mamba_dense.detection.prepare import write_folder

    counts, left_out = write_folder(
        args.images,
        args.labels,
        args.out,
        form=args.format,
        classes=args.classes,
        val_share=args.val,
        seed=args.seed,
        first_pixel=args.first_pixel,
        min_area=args.min_area,
        drop=args.drop,
    )
    shown = [f'{name} {counts[name][0]} images, {counts[name][1]} objects' for name in counts]
    listed = [f'{len(left_out)} left out:', *left_out] if left_out else []
    return '\n'.join([f'{args.out}: {"; ".join(shown)}', *listed])


def prepare_folder(args: argparse.Namespace) -> str:
    """The `folder` command; what it did."""
    from mamba_dense.segmentation.prepare import write_folder
    from mamba_dense.segmentation.template import write_config

    counts = write_folder(
        args.images,
        args.masks,
        args.out,
        classes=args.classes,
        values=read_values(args.values),
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
    notes = []
    if (target / 'dataset.json').is_file():
        from mamba_dense.medical.volume_check import inspect_folder

        found = inspect_folder(target)
        problems, notes = found.problems, found.notes
    elif target.is_dir():
        task = 'detection.guard' if (target / 'annotations').is_dir() else 'segmentation.data_check'
        problems = list(import_module(f'mamba_dense.{task}').folder_problems(target))
    else:
        from mmengine.config import Config

        cfg = Config.fromfile(target)
        checks = find_guard(cfg)
        if checks is None:
            raise ValueError(f'{target}: no check is known for data of this kind')
        everything = {'full': sys.maxsize}
        if cfg.get('default_scope') == 'mmdet':
            everything['boxes'] = True
        problems = list(checks.config_problems(cfg, **everything))
    if problems:
        raise DataError(problems)
    return '\n  '.join([f'{target}: no problem found', *notes])


def main() -> int:
    """Run the chosen command; 1 and a message if it is refused."""
    args = parse_args()
    try:
        if args.command == 'samples':
            writer = import_module(f'mamba_dense.{SAMPLES[args.name]}.prepare')
            out = writer.write_sample(args.name, args.out or Path('data') / args.name)
            text = f'{args.name} written to {out}'
        elif args.command == 'folder':
            text = prepare_folder(args)
        elif args.command == 'coco':
            text = prepare_coco(args)
        elif args.command == 'change':
            text = prepare_change(args)
        elif args.command == 'medical':
            text, left_out = prepare_medical(args)
            if left_out:
                listed = '\n  '.join([f'{len(left_out)} left out:', *left_out])
                sys.stdout.write(f'{text}\n')
                sys.stderr.write(f'{listed}\n')
                return 1
        else:
            text = check(args.target)
    except DataError as error:
        count = f'error: {len(error.problems)} problem(s) in the data:'
        sys.stderr.write('\n  '.join([count, *error.problems]) + '\n')
        return 1
    except (ValueError, OSError, json.JSONDecodeError, ImportError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    sys.stdout.write(f'{text}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
