"""The curves and matrices that an evaluation of a detector left behind, as drawings."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..weights.save import atomic_write
from . import report
from .heat_map import heat_map

KINDS = {'bbox': 'boxes', 'segm': 'masks'}


@dataclass(frozen=True)
class Evaluation:
    """What one kind of scoring left behind.

    Attributes:
        kind: 'bbox' or 'segm'.
        curves: precision (101,) over recall 0 to 1 by (class, IoU).
        names: the classes of the matrix, the last one is background.
        counts: (classes, classes), true classes in rows, found ones in columns.
        terms: the least score and IoU that count in it.
    """

    kind: str
    curves: dict[tuple[str, float], np.ndarray]
    names: tuple[str, ...]
    counts: np.ndarray
    terms: str

    @property
    def ious(self) -> tuple[float, ...]:
        """The IoUs at which curves were drawn."""
        return tuple(sorted({iou for _, iou in self.curves}))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that have curves."""
        return tuple(dict.fromkeys(name for name, _ in self.curves))

    def lines(self, name: str | None = None) -> list[report.Line]:
        """The curves of a class, or the mean of all classes, one for each IoU."""
        drawn = []
        for iou in self.ious:
            chosen = [self.curves[label, iou] for label in ([name] if name else self.classes)]
            precision = np.mean(chosen, axis=0)
            points = list(zip(np.linspace(0, 1, len(precision)), precision.tolist()))
            drawn.append(report.Line(f'IoU {iou:g}: AP {100 * precision.mean():.1f}', points))
        return drawn


def read_evaluation(folder: Path) -> list[Evaluation]:
    """What `mamba_dense.CocoScores(out_dir=folder)` wrote, as far as it is there."""
    found = []
    for kind in KINDS:
        files = [folder / kind / name for name in ('precision_recall.csv', 'confusion.csv')]
        if all(file.is_file() for file in files):
            found.append(Evaluation(kind, _read_curves(files[0]), *_read_confusion(files[1])))
    return found


def _read_curves(path: Path) -> dict[tuple[str, float], np.ndarray]:
    curves: dict[tuple[str, float], list[float]] = {}
    with path.open(newline='') as file:
        for row in csv.DictReader(file):
            curves.setdefault((row['class'], float(row['iou'])), []).append(float(row['precision']))
    return {key: np.array(points) for key, points in curves.items()}


def _read_confusion(path: Path) -> tuple[tuple[str, ...], np.ndarray, str]:
    with path.open(newline='') as file:
        heads, *rows = csv.reader(file)
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    return tuple(heads[1:]), counts, heads[0].partition('; ')[2]


def write_drawings(folder: Path, title: str) -> list[Path]:
    """Draw what lies in an evaluation's folder beside its tables, as SVG files.

    Args:
        folder: the `out_dir` of the evaluation.
        title: what was evaluated, for the headings.

    Returns:
        KIND/confusion.svg, KIND/precision_recall.svg (the mean of all classes) and
        KIND/precision_recall/CLASS.svg of each kind; no curves where no class has objects.
    """
    written = []
    for item in read_evaluation(folder):
        place, what = folder / item.kind, f'{title}, {KINDS[item.kind]}'
        drawn = {'confusion': (heat_map(item.counts.tolist(), item.names), item.terms)}
        if item.curves:
            drawn['precision_recall'] = (_chart(item.lines()), 'mean of all classes')
        for number, name in enumerate(item.classes, 1):
            file = f'precision_recall/{number:03d}_{re.sub(r"[^a-zA-Z0-9.-]+", "_", name)}'
            drawn[file] = (_chart(item.lines(name)), name)
        for file, (drawing, heading) in drawn.items():
            path = place / f'{file}.svg'
            text = report.standalone(drawing, f'{what}: {heading}')
            atomic_write(path, lambda part, text=text: part.write_text(text, encoding='utf-8'))
            written.append(path)
    return written


def _chart(lines: Sequence[report.Line]) -> str:
    return report.chart('precision over recall', lines, 'recall', 0.0)


def evaluation_section(found: Sequence[Evaluation]) -> str:
    """Curves and matrices inside a page."""
    rows = []
    for item in found:
        what, parts = KINDS[item.kind], []
        if item.curves:
            parts.append(report.figure(_chart(item.lines()), f'Precision over recall, {what}'))
        drawing = heat_map(item.counts.tolist(), item.names)
        parts.append(report.figure(drawing, f'What was found as what, {what}: {item.terms}'))
        rows.append(f'<div class="curves">{"".join(parts)}</div>')
    return '<p></p>'.join(rows)
