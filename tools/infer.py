"""Predict pictures or volumes, one or a folder: masks or objects, overlays, a table of the found.

    python tools/infer.py IMAGE_OR_FOLDER --model CONFIG_OR_NAME --checkpoint FILE --out DIR

Change networks take two dates, GeoTIFF of any size, other rasters or pictures, or two folders of
them with the same names; a run that was stopped goes on when it is started again:

    python tools/infer.py BEFORE AFTER --model CONFIG_OR_NAME --checkpoint FILE --out DIR

Volumes (NIfTI, a file for each channel: NAME_0000.nii.gz, ...) give masks in their geometry,
montages and a table of millilitres; networks of pictures see them slice by slice:

    python tools/infer.py CASE.nii.gz_OR_FOLDER --model CONFIG --checkpoint FILE --out DIR

A picture that cannot be used is reported and the others are predicted; the exit status is then 1.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from mamba_dense.apis import (
    ImageError,
    RasterOptions,
    find_images,
    infer_change_raster,
    init_model,
    list_models,
)
from mamba_dense.apis.change import is_change_detector
from mamba_dense.apis.folder import Options, Outcome, predict_folder
from mamba_dense.apis.progress import Progress, duration
from mamba_dense.apis.raster import find_pairs
from mamba_dense.apis.volume_cases import check_installed, holds_volumes


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', type=Path, nargs='*', help='image or folder of images; of change networks two'
    )
    parser.add_argument('--model', help='config file, or a name shown by --list')
    parser.add_argument(
        '--checkpoint', help='weights, path or address; default: the published file of a name'
    )
    parser.add_argument('--out', type=Path, default=Path('predictions'), help='folder for results')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ...; default: the GPU if there is one')
    parser.add_argument(
        '--range',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='darkest and brightest value, for images of other than 8 bits',
    )
    parser.add_argument('--tile', type=int, help='predict in tiles of this side, for large images')
    parser.add_argument('--overlap', type=int, help='pixels that tiles share; default: a quarter')
    parser.add_argument(
        '--score', type=float, default=0.3, help='of detectors: objects below are left out'
    )
    parser.add_argument('--opacity', type=float, default=0.4, help='of the colours in overlays')
    parser.add_argument(
        '--trusted', action='store_true', help='run the code inside a checkpoint that needs it'
    )
    parser.add_argument(
        '--mirror', action='store_true', help='average over mirrored views (segmentation)'
    )
    volumes = parser.add_argument_group('volumes')
    volumes.add_argument(
        '--max-memory',
        type=float,
        metavar='GB',
        help='of a case, beside the network; default: half of what is free for the scores',
    )
    volumes.add_argument(
        '--axis', type=int, choices=(0, 1, 2), help='across the slices, for networks of pictures'
    )
    change = parser.add_argument_group('change networks')
    change.add_argument(
        '--bands', type=int, nargs='+', help='numbers of the bands to take of each date, from 1'
    )
    change.add_argument(
        '--probabilities', action='store_true', help='write the probability of every class too'
    )
    change.add_argument(
        '--cluster', metavar='ADDRESS', help='predict on a Ray cluster; `local`: processes here'
    )
    parser.add_argument('--list', action='store_true', help='show the names of models and stop')
    args = parser.parse_args()
    check_args(parser, args)
    return args


def check_args(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Stop with the reason where arguments are missing or do not fit together."""
    if not args.list and (not args.source or args.model is None):
        parser.error('the following are required: source (image or folder) and --model')
    if len(args.source) > 2:
        parser.error(f'{len(args.source)} sources: allowed is one, or two dates of change networks')
    if args.tile is None and args.overlap is not None:
        parser.error(f'--overlap {args.overlap} is of tiles; give --tile too')
    if args.tile is not None and not 0 <= (args.overlap or 0) < args.tile:
        parser.error(f'--tile {args.tile} --overlap {args.overlap}: allowed is 0 <= overlap < tile')
    if not 0.0 <= args.opacity <= 1.0:
        parser.error(f'--opacity {args.opacity}: allowed is 0 to 1')


def describe(outcome: Outcome) -> str:
    """One line on a picture: the three largest classes, or why it failed."""
    if outcome.error:
        return f'FAILED {outcome.error}'
    shown = ', '.join(f'{name} {share:.1%}' for name, share, _ in outcome.rows[:3])
    if outcome.objects is not None:
        shown = f'{outcome.objects} objects' + (f': {shown}' if shown else '')
    return f'{outcome.path}: {shown}'


def tile_progress(name: str = 'tiles') -> Callable[[int, int], None]:
    """Shows how far the tiles of one picture, or parts of a volume, after the other are."""
    shown: list[Progress] = []

    def on_tile(done: int, total: int) -> None:
        if total == 1:
            return
        if not shown or done <= shown[0].done:
            shown[:] = [Progress(name, total)]
        shown[0].step_to(done)

    return on_tile


def run(args: argparse.Namespace) -> int:
    """Predict; the number of pictures that failed."""
    for path in args.source:
        if not path.exists():
            raise ImageError(f'{path}: no such file or folder.')
    model = init_model(args.model, args.checkpoint, args.device, trusted=args.trusted)
    if is_change_detector(model):
        return run_change(args, model)
    if len(args.source) > 1 or args.bands or args.probabilities or args.cluster:
        raise ValueError(
            f'{args.model} takes one picture or folder; two dates, --bands, --probabilities and '
            '--cluster are of change networks.'
        )
    if hasattr(model, 'predict_scores') or holds_volumes(args.source[0], args.out):
        return run_volumes(args, model, args.source[0])
    if args.max_memory or args.axis is not None:
        raise ValueError('--max-memory and --axis are of volumes.')
    return run_pictures(args, model, args.source[0])


def run_change(args: argparse.Namespace, model: nn.Module) -> int:
    """Predict pairs of dates; the number of files that failed."""
    if len(args.source) < 2:
        raise ImageError(
            f'{args.source[0]} has no partner: {args.model} takes two dates, BEFORE AFTER.'
        )
    pairs, alone = find_pairs(*args.source)
    options = RasterOptions(
        tile=args.tile or RasterOptions.tile,
        overlap=args.overlap,
        bands=args.bands,
        value_range=tuple(args.range) if args.range else None,
        probabilities=args.probabilities,
        cluster=args.cluster,
    )
    failed = list(alone)
    for name, (before, after) in pairs.items():
        try:
            done = infer_change_raster(
                model, before, after, args.out / name, options, tile_progress()
            )
        except (ValueError, MemoryError, RuntimeError, AssertionError) as error:
            failed.append(str(error))
            continue
        for notice in done.notices:
            print(f'note: {notice}', file=sys.stderr)
        found = [
            row for row in done.table if row['pixels'] != '0' and row['class'] not in ('', '0')
        ]
        shares = ', '.join(f'{r["output"]} {r["name"]} {float(r["share"]):.1%}' for r in found)
        print(
            f'{before} {after}: {shares or "no change"}; {done.regions} regions; '
            f'{duration(done.seconds)}: {args.out / name}',
            flush=True,
        )
    return report(failed)


def report(failed: list[str]) -> int:
    """Show what failed; how many."""
    if failed:
        print(f'{len(failed)} failed:', file=sys.stderr)
    for text in failed:
        print(f'  {text}', file=sys.stderr)
    return len(failed)


def run_pictures(args: argparse.Namespace, model: nn.Module, source: Path) -> int:
    """Predict pictures one by one; the number of those that failed."""
    count = len(find_images(source, args.out))
    options = Options(
        value_range=tuple(args.range) if args.range else None,
        tile=args.tile,
        overlap=args.overlap,
        opacity=args.opacity,
        score=args.score,
        mirror=args.mirror,
    )
    progress = Progress('pictures', count)
    start = time.monotonic()
    failed = []
    for outcome in predict_folder(model, source, args.out, options, tile_progress()):
        progress.clear()
        print(describe(outcome), flush=True)
        progress.step()
        if outcome.error:
            failed.append(outcome.error)
    print(
        f'{count - len(failed)} of {count} pictures in {duration(time.monotonic() - start)}: '
        f'{args.out}'
    )
    return report(failed)


def run_volumes(args: argparse.Namespace, model: nn.Module, source: Path) -> int:
    """Predict volumes one by one; the number of those that failed."""
    check_installed()
    from mamba_dense.apis.volume import VolumeOptions, predict_volumes

    if args.tile:
        raise ValueError(f'--tile {args.tile} is of pictures; of volumes, see --max-memory.')
    options = VolumeOptions(
        mirror=args.mirror,
        max_memory=args.max_memory and args.max_memory * 1e9,
        axis=args.axis,
        value_range=tuple(args.range) if args.range else None,
        opacity=args.opacity,
    )
    start, count, failed = time.monotonic(), 0, []
    for outcome in predict_volumes(model, source, args.out, options, tile_progress('parts')):
        count += 1
        found = ', '.join(f'{name} {volume:.4g} ml' for name, _, volume in outcome.rows)
        print(f'{outcome.name}: {outcome.error and "FAILED " + outcome.error or found}', flush=True)
        if outcome.error:
            failed.append(outcome.error)
    print(
        f'{count - len(failed)} of {count} volumes in {duration(time.monotonic() - start)}: '
        f'{args.out}'
    )
    return report(failed)


def main() -> int:
    """0: all predicted; 1: a picture failed, or nothing could be done; 130: stopped by hand."""
    args = parse_args()
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s %(message)s')
    if args.list:
        print('\n'.join(list_models()))
        return 0
    try:
        return 1 if run(args) else 0
    except (ValueError, OSError, KeyError, ModuleNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on with rasters where it was', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
