"""Write the table of models into the read-me: measured cost beside published figures."""

import argparse
import sys
import warnings
from pathlib import Path

from mamba_dense.apis.zoo_table import updated
from mamba_dense.weights.save import atomic_write

README = Path(__file__).resolve().parents[1] / 'README.md'


def main() -> int:
    """0, or 1 if the file is out of date (--check) or cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--file', type=Path, default=README, help='default: the README')
    parser.add_argument('--check', action='store_true', help='write nothing; fail if out of date')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', module='mmseg')
    try:
        text = updated(args.file)
        if text == args.file.read_text():
            print(f'{args.file}: up to date')
            return 0
        if args.check:
            print(f'{args.file}: out of date; run python tools/model_table.py', file=sys.stderr)
            return 1
        atomic_write(args.file, lambda part: part.write_text(text))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{args.file}: written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
