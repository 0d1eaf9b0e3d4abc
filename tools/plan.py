"""Look through a data set in nnU-Net's raw layout and write a config that fits it and the memory.

    python tools/plan.py data/liver --out liver.py --network lightm --memory 8
    python tools/train.py liver.py

The report says what was found and what was chosen; the config is an ordinary file to be edited.
"""

import argparse
import sys
from pathlib import Path

from mamba_dense.engine.files import DataError


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', type=Path, help='folder with imagesTr, labelsTr and dataset.json')
    parser.add_argument('--out', type=Path, help='config to write; without it only the report')
    parser.add_argument(
        '--network',
        default='lightm',
        choices=('lightm', 'xlstm_bot', 'xlstm_enc', 'monai'),
        help='LightM-UNet, xLSTM-UNet of either kind, or MONAI DynUNet',
    )
    parser.add_argument(
        '--memory', type=float, default=8.0, help='10**9 bytes that a training step may take'
    )
    parser.add_argument(
        '--dims', type=int, default=3, choices=(2, 3), help='slices or patches of volumes'
    )
    parser.add_argument(
        '--width', type=int, default=32, help='channels of the finest stage; 8 for a CPU'
    )
    parser.add_argument(
        '--iterations',
        type=int,
        help='a short training of so many iterations in place of the published recipe',
    )
    parser.add_argument(
        '--calibrated',
        action='store_true',
        help='a value means the same in every case, as in CT: scale all cases alike; else each '
        'case by its own mean and deviation, unless dataset.json names the channel CT',
    )
    return parser.parse_args()


def plan(args: argparse.Namespace) -> str:
    """The report; the config is written where asked for."""
    from mamba_dense.medical.fingerprint import describe, read_fingerprint
    from mamba_dense.medical.layout import read_layout
    from mamba_dense.medical.plan import describe_plan, make_plan
    from mamba_dense.medical.plan_config import write_config

    layout = read_layout(args.data)
    found = read_fingerprint(layout)
    made = make_plan(
        found,
        network=args.network,
        memory=args.memory,
        dims=args.dims,
        width=args.width,
        calibrated=args.calibrated,
    )
    lines = [*describe(found), '', f'plan for {args.network}:', *describe_plan(made)]
    if args.out is not None:
        write_config(
            args.out,
            layout,
            made,
            network=args.network,
            width=args.width,
            iterations=args.iterations,
        )
        lines.append(f'{args.out}: start with  python tools/train.py {args.out}')
    return '\n'.join(lines)


def main() -> int:
    """Plan; 1 and a message if data or memory do not allow it."""
    args = parse_args()
    try:
        text = plan(args)
    except DataError as error:
        count = f'error: {len(error.problems)} problem(s) in the data:'
        sys.stderr.write('\n  '.join([count, *error.problems]) + '\n')
        return 1
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    sys.stdout.write(f'{text}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
