"""Looking at every volume of a folder before hours of training depend on it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np

from mamba_dense.medical.layout import Case, scan_layout
from mamba_dense.medical.volume import (
    Volume,
    VolumeError,
    is_volume,
    read_image,
    read_labels,
)

# spacings along an axis whose ratio is larger are not the same
MIXED = 1.05
_AXES = 'XYZ'


@dataclass
class Findings:
    """What reading cases brought to light.

    Attributes:
        problems: one line for each; a training would fail on it or learn something wrong.
        notes: one line for each; what one should know and need not change.
        spacings: of each readable case, in mm along X, Y and Z.
        orientations: of each readable case, such as 'RAS'.
        classes: numbers that stand in some mask.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spacings: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    orientations: dict[str, str] = field(default_factory=dict)
    classes: set[int] = field(default_factory=set)


def read_case(case: Case, classes: int | None) -> tuple[Volume, np.ndarray | None]:
    """Image and mask of a case; the mask (X, Y, Z) is None where the case has none.

    Raises:
        VolumeError: one of them cannot be used.
    """
    image = read_image(case.images)
    if case.labels is None:
        return image, None
    return image, read_labels(case.labels, like=image, num_classes=classes)


def read_cases(
    cases: Iterable[Case], classes: int | None, findings: Findings
) -> Iterator[tuple[Case, Volume, np.ndarray | None]]:
    """The readable cases one after the other; all that is seen is added to `findings`.

    Args:
        cases: to read.
        classes: how many there are, background included; None takes any number.
        findings: to add to.
    """
    for case in cases:
        try:
            image, labels = read_case(case, classes)
        except VolumeError as error:
            findings.problems.append(str(error))
            continue
        findings.spacings[case.name] = image.spacing
        findings.orientations[case.name] = ''.join(nibabel.aff2axcodes(image.affine))
        if labels is not None:
            findings.classes |= set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
        yield case, image, labels


def inspect_folder(root: str | Path) -> Findings:
    """Read every case of a folder in nnU-Net's raw layout."""
    layout, problems = scan_layout(root)
    findings = Findings(problems)
    if layout is None:
        return findings
    if not is_volume(layout.ending):
        findings.problems.append(
            f'{root}: its files end with {layout.ending}; pictures are looked through by '
            'prepare_data.py medical --layout nnunet-png --check'
        )
        return findings
    count = len(layout.classes)
    for _ in read_cases((*layout.train, *layout.test), count, findings):
        pass
    findings.problems += unseen_classes(layout.classes, findings)
    findings.notes += spacing_notes(findings)
    stated = json.loads((layout.root / 'dataset.json').read_text(encoding='utf-8'))
    if stated.get('numTraining', len(layout.train)) != len(layout.train):
        findings.notes.append(
            f'dataset.json says numTraining={stated["numTraining"]}, {len(layout.train)} whole '
            'cases are there'
        )
    return findings


def unseen_classes(classes: Sequence[str], findings: Findings) -> list[str]:
    """A line for each class that no readable mask shows."""
    if not findings.classes:
        return []
    return [
        f'class {number} ({name}) is in no mask; take it out of dataset.json, or add a case'
        for number, name in enumerate(classes)
        if number not in findings.classes and number > 0
    ]


def spacing_notes(findings: Findings) -> list[str]:
    """A line for each axis along which the cases' spacings differ, and one for orientations."""
    notes = []
    for axis in mixed_axes(findings.spacings.values()):
        low, high = (
            choose(findings.spacings, key=lambda name: findings.spacings[name][axis])
            for choose in (min, max)
        )
        notes.append(
            f'spacing along {_AXES[axis]} from {findings.spacings[low][axis]:.4g} mm ({low}) to '
            f'{findings.spacings[high][axis]:.4g} mm ({high}); preparation.spacing of a config '
            'resamples all to one, tools/plan.py chooses it'
        )
    kinds = sorted(set(findings.orientations.values()))
    if len(kinds) > 1:
        shares = [f'{list(findings.orientations.values()).count(k)} {k}' for k in kinds]
        notes.append(
            f'orientations differ: {", ".join(shares)}; the networks see the axes as they are '
            'stored'
        )
    return notes


def mixed_axes(spacings: Iterable[Sequence[float]]) -> list[int]:
    """Axes along which spacings (mm along each axis) differ by more than the factor `MIXED`."""
    columns = list(zip(*spacings, strict=True))
    return [n for n, column in enumerate(columns) if max(column) > MIXED * min(column)]
