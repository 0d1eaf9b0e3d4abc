"""Golden records of every family that has a table: all outputs and the parameter count."""

from pathlib import Path

import pytest

from mamba_dense.reference.compare import TOLERANCE, has_table, targets, verify
from mamba_dense.reference.record import read_record
from mamba_dense.reference.subject import UnsupportedError

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
# records of a family without a table serve other tests, such as those of the routes
RECORDS = [path for path in sorted(GOLDEN.glob('*/*.json')) if has_table(path.parent.name)]


@pytest.mark.parametrize('path', RECORDS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_record(path):
    try:
        targets(path.parent.name)
    except UnsupportedError as error:  # stands on a framework of an extra that is not installed
        pytest.skip(str(error))
    outcome = verify(read_record(path))
    assert outcome.status == 'OK', outcome.reasons
    assert outcome.error <= TOLERANCE
    assert not outcome.reasons


def test_there_are_records():
    assert len([path for path in RECORDS if path.parent.name == 'vmamba']) == 16
