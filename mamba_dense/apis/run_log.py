"""What a training run wrote down: losses and scores by iteration."""

import json
from pathlib import Path
from typing import Any


def log_rows(work: Path) -> list[dict[str, Any]]:
    """The rows of a work folder's logs, of resumed runs too, in the order of their steps.

    Where a later run began before an earlier one ended, the later one counts from there on.

    Raises:
        FileNotFoundError: the run left no log.
    """
    logs = sorted(work.glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work}: the training left no vis_data/scalars.json.')
    rows: list[dict[str, Any]] = []
    for log in logs:
        added = [json.loads(line) for line in log.read_text().splitlines() if line]
        added = [row for row in added if 'step' in row]
        if added:
            rows = [row for row in rows if row['step'] < added[0]['step']] + added
    return rows


def points(rows: list[dict[str, Any]], name: str, factor: float = 1.0) -> list[tuple[int, float]]:
    """(step, value times `factor`) of the rows that have a value of this name."""
    return [(row['step'], row[name] * factor) for row in rows if name in row]
