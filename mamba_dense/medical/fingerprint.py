"""What a planner must know of a data set: sizes, spacings, intensities, class frequencies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mamba_dense.engine.files import DataError
from mamba_dense.medical.layout import Layout
from mamba_dense.medical.preparation import Preparation
from mamba_dense.medical.volume_check import (
    Findings,
    read_cases,
    spacing_notes,
    unseen_classes,
)

PERCENTILES = (0.5, 99.5)
_SAMPLES = 10_000  # voxels of the foreground taken from each case


@dataclass(frozen=True)
class Intensity:
    """One channel's values in the foreground, all cases pooled."""

    mean: float
    std: float
    low: float  # percentiles 0.5 and 99.5
    high: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Fingerprint:
    """What was found in the training cases of a folder.

    Attributes:
        layout: the folder.
        names: of the cases.
        shapes: voxels along X, Y and Z of each case, inside the box that is not zero.
        spacings: mm along X, Y and Z of each case.
        kept: share of its voxels inside that box, mean over the cases.
        intensities: of each channel.
        voxels: of each class, all cases together.
        cases: in which each class is seen.
        notes: mixed spacings and orientations, one line each.
    """

    layout: Layout
    names: tuple[str, ...]
    shapes: tuple[tuple[int, int, int], ...]
    spacings: tuple[tuple[float, float, float], ...]
    kept: float
    intensities: tuple[Intensity, ...]
    voxels: tuple[int, ...]
    cases: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_fingerprint(layout: Layout) -> Fingerprint:
    """Read every training case of `layout`.

    Raises:
        DataError: lists every case that cannot be used, and the classes that no mask shows.
    """
    findings = Findings()
    random = np.random.default_rng(0)
    crop = Preparation(channels=[{'kind': 'none'}] * len(layout.channels))
    shapes, kept, pools, counts = [], [], [], []
    for _, image, labels in read_cases(layout.train, len(layout.classes), findings):
        box = crop.geometry(image).box
        shapes.append(tuple(high - low for low, high in box))
        kept.append(float(np.prod(shapes[-1])) / labels.size)
        counts.append(np.bincount(labels.ravel(), minlength=len(layout.classes)))
        pools.append(_foreground(image.data, labels, random))
    problems = [*findings.problems, *unseen_classes(layout.classes, findings)]
    if problems:
        raise DataError(problems)
    voxels = np.sum(counts, axis=0)
    return Fingerprint(
        layout,
        tuple(findings.spacings),
        tuple(shapes),
        tuple(findings.spacings.values()),
        float(np.mean(kept)),
        tuple(_intensity(values) for values in np.concatenate(pools, axis=1)),
        tuple(int(count) for count in voxels),
        tuple(int(seen) for seen in np.sum([row > 0 for row in counts], axis=0)),
        tuple(spacing_notes(findings)),
    )


def describe(found: Fingerprint) -> Iterator[str]:
    """The lines of a report."""
    layout = found.layout
    yield f'{layout.root}: {len(found.names)} cases to train on, {len(layout.test)} for testing'
    yield f'the box that is not zero holds {100 * found.kept:.0f} % of the voxels'
    yield 'along X, Y, Z, least, median and greatest:'
    yield f'  size of that box {_spread(found.shapes, "{:.0f}")} voxels'
    yield f'  spacing {_spread(found.spacings, "{:.4g}")} mm'
    yield from found.notes
    for name, values in zip(layout.channels, found.intensities, strict=True):
        yield (
            f'channel {name} in the foreground: mean {values.mean:.4g}, deviation '
            f'{values.std:.4g}, {PERCENTILES[0]} to {PERCENTILES[1]} % {values.low:.4g} to '
            f'{values.high:.4g}, {values.least:.4g} to {values.greatest:.4g} in all'
        )
    total = sum(found.voxels)
    for number, name in enumerate(layout.classes):
        share, seen = 100 * found.voxels[number] / total, found.cases[number]
        yield f'class {number} ({name}): {share:.3g} % of the voxels, in {seen} cases'


def _foreground(data: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Values (C, n) of at most `_SAMPLES` voxels that are not background."""
    places = np.flatnonzero(labels)
    if len(places) > _SAMPLES:
        places = random.choice(places, _SAMPLES, replace=False)
    return data.reshape(len(data), -1)[:, places]


def _intensity(values: np.ndarray) -> Intensity:
    values = values.astype(np.float64)
    low, high = np.percentile(values, PERCENTILES)
    numbers = (values.mean(), values.std(), low, high, values.min(), values.max())
    return Intensity(*(float(number) for number in numbers))


def _spread(rows: Sequence[Sequence[float]], form: str) -> str:
    table = np.asarray(rows, float)
    shown = (
        ' x '.join(form.format(value) for value in choose(table, axis=0))
        for choose in (np.min, np.median, np.max)
    )
    return ', '.join(shown)
