"""A table of counts as a drawing: the confusion matrix of a report."""

from collections.abc import Sequence

from .report import escape, svg

# beyond so many classes a cell has no room for its number
_NUMBERED = 24
_FEW = 4  # columns that are wide enough for their names
_WIDE, _CELL, _SMALL = 76, 44, 9
_LETTER = 6.6


def heat_map(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Counts of true classes (rows) found as classes (columns), as a drawing.

    A cell is as dark as its share of its row, so that rare classes show as well as frequent ones;
    in the last row, which has no objects, as its share of a class's objects on average.

    Args:
        counts: square, a row for each name.
        names: of the classes, the last one is background.

    Raises:
        ValueError: the counts are not square, or not of these names.
    """
    size = len(names)
    if len(counts) != size or any(len(row) != size for row in counts):
        raise ValueError(f'{len(counts)} rows of counts for {size} classes; they must be square.')
    numbered = size <= _NUMBERED
    cell = (_WIDE if size <= _FEW else _CELL) if numbered else _SMALL
    margin = 34 + (_LETTER if numbered else 0.75 * _SMALL) * max(len(name) for name in names)
    turned = size > _FEW or max(len(name) for name in names) * _LETTER > _WIDE
    top = 30 + (margin - 34 if turned else 14)
    totals = [sum(line) for line in counts]
    totals[-1] = max(totals[-1], sum(totals[:-1]) / max(1, size - 1))
    parts = [_axes(margin, top, cell * size)]
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        y, total = top + row * cell, totals[row]
        parts.append(_label(margin - 6, y + cell / 2 + 4, name, cell, 'text-anchor="end"'))
        parts += [
            _square(margin + column * cell, y, cell, count, count / (total or 1), numbered)
            for column, count in enumerate(line)
        ]
    for column, name in enumerate(names):
        x = margin + (column + 0.5) * cell
        how = f'transform="rotate(-90 {x:g} {top - 6:g})"' if turned else 'text-anchor="middle"'
        parts.append(_label(x + (4 if turned else 0), top - 6, name, cell, how))
    return svg(margin + cell * size + 40, top + cell * size + 12, ''.join(parts))


def _axes(left: float, top: float, side: float) -> str:
    middle = top + side / 2
    return (
        f'<text x="{left + side / 2:g}" y="14" text-anchor="middle">found as</text>'
        f'<text x="12" y="{middle:g}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle:g})">true class</text>'
    )


def _label(x: float, y: float, name: str, cell: float, how: str) -> str:
    size = min(12, cell)
    return f'<text x="{x:g}" y="{y:g}" style="font-size:{size}px" {how}>{escape(name)}</text>'


def _square(x: float, y: float, cell: float, count: int, share: float, numbered: bool) -> str:
    drawn = (
        f'<rect x="{x:g}" y="{y:g}" width="{cell}" height="{cell}" fill="var(--a)" '
        f'fill-opacity="{share:.3f}" stroke="var(--line)" stroke-width="{0.02 * cell:g}"/>'
    )
    if not numbered:
        return drawn
    ink = 'var(--paper)' if share > 0.55 else 'var(--ink)'
    return (
        f'{drawn}<text x="{x + cell / 2:g}" y="{y + cell / 2 + 4:g}" text-anchor="middle" '
        f'style="fill:{ink}">{count}</text>'
    )
