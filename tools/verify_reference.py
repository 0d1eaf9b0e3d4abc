"""Check our networks against golden records: python tools/verify_reference.py DIR [--family F ...].

DIR holds one folder per family with RECORD.json and RECORD.npz pairs. One line per record:
FAMILY/RECORD  OK|FAIL|UNSUPPORTED  max relative error  parameters; then the totals. What is wrong
with a record is said on the error stream. The exit status is 0 only if all records are OK.
"""

import argparse
import sys
import traceback
from pathlib import Path

from mamba_dense.reference.compare import Outcome, verify
from mamba_dense.reference.record import read_record


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('folder', metavar='DIR', type=Path, help='holds FAMILY/RECORD.json')
    parser.add_argument(
        '--family', metavar='F', nargs='+', action='extend', default=[], help='only these families'
    )
    return parser.parse_args(argv)


def find(folder: Path, families: list[str]) -> list[Path]:
    """The records of the families wanted, in order; an error that says what is there if none."""
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; give the one that holds FAMILY/*.json')
    there = sorted(path.parent.name for path in folder.glob('*/*.json'))
    unknown = sorted(set(families) - set(there))
    if unknown or not there:
        known = ', '.join(dict.fromkeys(there)) or 'none; they lie in DIR/FAMILY/RECORD.json'
        wanted = f'family {", ".join(unknown)}' if unknown else 'any family'
        raise FileNotFoundError(f'{folder} has no records of {wanted}; it has: {known}')
    found = sorted(folder.glob('*/*.json'))
    return [path for path in found if not families or path.parent.name in families]


def check(path: Path) -> Outcome:
    try:
        return verify(read_record(path), path.parent.name)
    except Exception as error:  # noqa: BLE001 - a record that breaks must not hide the others
        if not isinstance(error, ValueError):
            traceback.print_exc()
        return Outcome('FAIL', reasons=(f'{type(error).__name__}: {error}',))


def line(path: Path, outcome: Outcome) -> str:
    error = '-' if outcome.error is None else f'{outcome.error:.2e}'
    count = '-' if outcome.parameters is None else str(outcome.parameters)
    return f'{path.parent.name}/{path.stem}  {outcome.status}  {error}  {count}'


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        records = find(args.folder, args.family)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    totals = {'OK': 0, 'FAIL': 0, 'UNSUPPORTED': 0}
    for path in records:
        outcome = check(path)
        totals[outcome.status] += 1
        print(line(path, outcome), flush=True)
        for reason in outcome.reasons:
            print(f'{path.parent.name}/{path.stem}: {reason}', file=sys.stderr)
    passed, failed, unsupported = totals.values()
    count = len(records)
    print(f'{count} records: {passed} passed, {failed} failed, {unsupported} unsupported')
    return 0 if passed == count else 1


if __name__ == '__main__':
    sys.exit(main())
