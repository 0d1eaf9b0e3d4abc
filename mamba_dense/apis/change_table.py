"""What a change map says in numbers: pixels and area by class and by transition, as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..weights.save import atomic_write
from .change import NODATA, class_names, outputs

COLUMNS = ('output', 'class', 'name', 'pixels', 'share', 'area_m2')
_TRANSITION = ('change', 'pre', 'post')


@dataclass(frozen=True)
class Theme:
    """What of a network's outputs is outlined and counted, as one number a pixel.

    Semantic change gives transitions, what became what; else it is the last output's class.

    Attributes:
        classes: names of the classes of every output.
    """

    classes: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, model: nn.Module) -> 'Theme':
        """The theme of a network."""
        named = class_names(model)
        return cls({name: named[name] for name in outputs(model)})

    @property
    def transitions(self) -> bool:
        """Whether land cover of both dates is told."""
        return set(_TRANSITION) <= set(self.classes)

    def values(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """One number a pixel (uint16), 0 where nothing is to be told, of maps (rows, width).

        A transition is numbered classes * pre + post; where a changed pixel's cover is 0 on either
        date, the networks' scores count it as unchanged, and so it is here.
        """
        if not self.transitions:
            last = maps[list(self.classes)[-1]]
            return np.where(last == NODATA, 0, last).astype(np.uint16)
        change, pre, post = (maps[name] for name in _TRANSITION)
        known = (change == 1) & (pre > 0) & (post > 0)
        joint = pre.astype(np.uint16) * len(self.classes['pre']) + post
        return np.where(known, joint, 0).astype(np.uint16)

    def describe(self, value: int) -> dict[str, Any]:
        """Number and name of a value's class, or of both classes of a transition."""
        if not self.transitions:
            return {'class': value, 'name': self.classes[list(self.classes)[-1]][value]}
        pre, post = divmod(value, len(self.classes['pre']))
        return {
            'from': pre,
            'from_name': self.classes['pre'][pre],
            'class': post,
            'name': self.classes['post'][post],
        }


def write_statistics(
    path: Path,
    bands: Iterator[Mapping[str, np.ndarray]],
    theme: Theme,
    pixel_area: float | None,
) -> tuple[Mapping[str, str], ...]:
    """Count the pixels of all bands and write the table; its rows.

    `output` is a network's output, `transition` (class `2>5`: land cover 2 became 5) or `nodata`;
    `share` is of the pixels with data; `area_m2` is empty where a pixel has no one size.

    Args:
        path: the file.
        bands: maps (rows, width) by output; further maps are left alone.
        theme: names of the classes.
        pixel_area: square metres of a pixel, or None.
    """
    counts: dict[str, Counter] = {name: Counter() for name in (*theme.classes, 'transition')}
    for band in bands:
        for name in theme.classes:
            _count(counts[name], band[name])
        if theme.transitions:
            _count(counts['transition'], theme.values(band))
    first = counts[next(iter(theme.classes))]
    empty = first[NODATA]
    valid = sum(first.values()) - empty

    def row(output: str, number: str, name: str, pixels: int) -> dict[str, str]:
        share = f'{pixels / valid:.6f}' if valid and output != 'nodata' else ''
        area = '' if pixel_area is None else f'{pixels * pixel_area:.3f}'
        return dict(zip(COLUMNS, (output, number, name, str(pixels), share, area), strict=True))

    rows = [
        row(output, str(number), name, counts[output][number])
        for output, names in theme.classes.items()
        for number, name in enumerate(names)
    ]
    for value in sorted(counts['transition'].keys() - {0}):
        told = theme.describe(value)
        label = f'{told["from"]}>{told["class"]}', f'{told["from_name"]} > {told["name"]}'
        rows.append(row('transition', *label, counts['transition'][value]))
    rows.append(row('nodata', '', 'no data on one of the dates', empty))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, lambda part: part.write_text(text.getvalue()))
    return tuple(rows)


def _count(counter: Counter, values: np.ndarray) -> None:
    found = np.bincount(values.ravel())
    counter.update({int(value): int(found[value]) for value in np.flatnonzero(found)})
