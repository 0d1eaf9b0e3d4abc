"""Scores on degraded pairs as a table, a CSV file and curves."""

import csv
from collections.abc import Sequence
from pathlib import Path

from ..change.degrade import DEGRADATIONS
from ..change.robustness import CLEAN, Row
from ..weights.save import atomic_write
from . import report

# the score that each task is ranked by; the first one that is there is drawn
MAIN = ('change/f_scd', 'damage/f1_oa', 'change/f1')


def main_score(rows: Sequence[Row]) -> str:
    """Name of the score that is drawn."""
    names = list(rows[0].scores)
    return next((name for name in MAIN if name in names), names[0])


def text_table(rows: Sequence[Row]) -> str:
    """The table as aligned text, a line for each level of each kind."""
    names = list(rows[0].scores)
    lines = [['degradation', 'level', 'strength', *(name.split('/')[-1] for name in names)]]
    for row in rows:
        what = '' if row.strength is None else f'{row.strength:g} ({DEGRADATIONS[row.kind].unit})'
        lines.append([row.kind, str(row.level), what, *(f'{row.scores[n]:.4f}' for n in names)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def scores_by_condition(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The scores by `KIND-LEVEL`, for a JSON file."""
    return {
        row.kind if row.kind == CLEAN else f'{row.kind}-{row.level}': row.scores for row in rows
    }


def drawing(rows: Sequence[Row], score: str) -> str:
    """`score` over the level, a curve for each kind that begins at the untouched pairs."""
    start = [(0.0, row.scores[score]) for row in rows if row.kind == CLEAN]
    kinds = dict.fromkeys(row.kind for row in rows if row.kind != CLEAN)
    lines = [
        report.Line(
            kind,
            sorted([*start, *((row.level, row.scores[score]) for row in rows if row.kind == kind)]),
        )
        for kind in kinds
    ]
    return report.chart(f'{score} over the level', lines, 'level of degradation')


def write_robustness(rows: Sequence[Row], folder: Path, title: str) -> tuple[Path, Path]:
    """Write FOLDER/robustness.csv and FOLDER/robustness.svg; their paths.

    Args:
        rows: of `evaluate_degraded`.
        folder: made if it is not there.
        title: what was evaluated, for the heading.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, score = list(rows[0].scores), main_score(rows)

    def write_csv(part: Path) -> None:
        with part.open('w', newline='', encoding='utf-8') as file:
            table = csv.writer(file)
            table.writerow(['degradation', 'level', 'strength', *names])
            for row in rows:
                shown = '' if row.strength is None else row.strength
                table.writerow([row.kind, row.level, shown, *(row.scores[n] for n in names)])

    text = report.standalone(drawing(rows, score), f'{title}: {score} under degradation')
    paths = folder / 'robustness.csv', folder / 'robustness.svg'
    atomic_write(paths[0], write_csv)
    atomic_write(paths[1], lambda part: part.write_text(text, encoding='utf-8'))
    return paths
