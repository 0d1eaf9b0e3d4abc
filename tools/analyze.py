"""What a network costs: parameters, multiply-adds with the scans shown apart, activation memory.

    python tools/analyze.py CONFIG_OR_NAME [MORE ...] [--shape HEIGHT WIDTH]

Nothing is computed: the network is followed on torch's meta device. FLOPs are in the field's
convention, in which one multiply-add counts one (see mamba_dense/apis/analysis.py).
"""

import argparse
import sys
import warnings
from dataclasses import replace

from mamba_dense.apis.analysis import Analysis, Row, analyze

HEADINGS = ('part', 'parameters', 'FLOPs', 'of these scans', 'kept for backward')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='config files or names of models')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help="of the picture; default: the config's crop",
    )
    return parser.parse_args()


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table as text."""
    return (
        row.name,
        f'{row.parameters / 1e6:.3f} M',
        f'{row.flops / 1e9:.3f} G',
        f'{row.scan_flops / 1e9:.3f} G',
        f'{row.activation_bytes / 1e6:.1f} MB',
    )


def table(result: Analysis) -> str:
    """The whole analysis as text."""
    total = replace(result.total, name='total')
    rows = [HEADINGS, *(cells(row) for row in result.parts), cells(total)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = []
    for row in rows:
        aligned = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append('  '.join([row[0].ljust(widths[0]), *aligned]))
    rule = '-' * len(lines[0])
    channels, height, width = result.shape
    head = f'{result.total.name}: one picture of {channels}x{height}x{width}, float32'
    exact = f'{result.total.parameters:,} parameters'
    return '\n'.join([head, rule, lines[0], rule, *lines[1:-1], rule, lines[-1], exact])


def main() -> int:
    """0, or 1 with the reason why a network cannot be measured."""
    args = parse_args()
    warnings.filterwarnings('ignore', module='mmseg')
    for config in args.configs:
        try:
            result = analyze(config, tuple(args.shape) if args.shape else None)
        except (ValueError, OSError, KeyError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 1
        print(table(result), end='\n\n' if config != args.configs[-1] else '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
