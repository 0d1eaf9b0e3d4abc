"""Predict a picture or a folder of pictures: masks or objects, overlays, a table of the found.

    python tools/infer.py IMAGE_OR_FOLDER --model CONFIG_OR_NAME --checkpoint FILE --out DIR

A picture that cannot be used is reported and the others are predicted; the exit status is then 1.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from mamba_dense.apis import find_images, init_model, list_models
from mamba_dense.apis.folder import Options, Outcome, predict_folder
from mamba_dense.apis.progress import Progress, duration


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, nargs='?', help='image, or folder of images')
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
    parser.add_argument('--list', action='store_true', help='show the names of models and stop')
    args = parser.parse_args()
    if not args.list and (args.source is None or args.model is None):
        parser.error('the following are required: source (image or folder) and --model')
    if args.tile is None and args.overlap is not None:
        parser.error(f'--overlap {args.overlap} is of tiles; give --tile too')
    if args.tile is not None and not 0 <= (args.overlap or 0) < args.tile:
        parser.error(f'--tile {args.tile} --overlap {args.overlap}: allowed is 0 <= overlap < tile')
    if not 0.0 <= args.opacity <= 1.0:
        parser.error(f'--opacity {args.opacity}: allowed is 0 to 1')
    return args


def describe(outcome: Outcome) -> str:
    """One line on a picture: the three largest classes, or why it failed."""
    if outcome.error:
        return f'FAILED {outcome.error}'
    shown = ', '.join(f'{name} {share:.1%}' for name, share, _ in outcome.rows[:3])
    if outcome.objects is not None:
        shown = f'{outcome.objects} objects' + (f': {shown}' if shown else '')
    return f'{outcome.path}: {shown}'


def run(args: argparse.Namespace) -> int:
    """Predict; the number of pictures that failed."""
    count = len(find_images(args.source, args.out))
    model = init_model(args.model, args.checkpoint, args.device, trusted=args.trusted)
    options = Options(
        value_range=tuple(args.range) if args.range else None,
        tile=args.tile,
        overlap=args.overlap,
        opacity=args.opacity,
        score=args.score,
    )
    tiles: list[Progress] = []

    def on_tile(done: int, total: int) -> None:
        if done == 1:
            tiles[:] = [Progress('tiles', total)]
        tiles[0].step()

    progress = Progress('pictures', count)
    start = time.monotonic()
    failed = []
    for outcome in predict_folder(model, args.source, args.out, options, on_tile):
        progress.clear()
        print(describe(outcome), flush=True)
        progress.step()
        if outcome.error:
            failed.append(outcome)
    print(
        f'{count - len(failed)} of {count} pictures in {duration(time.monotonic() - start)}: '
        f'{args.out}'
    )
    if failed:
        print(f'{len(failed)} failed:', file=sys.stderr)
    for outcome in failed:
        print(f'  {outcome.error}', file=sys.stderr)
    return len(failed)


def main() -> int:
    """0: all predicted; 1: a picture failed, or nothing could be done, with the reason."""
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


if __name__ == '__main__':
    sys.exit(main())
