"""Volumes of published data sets -> nnU-Net's raw layout, voxels and geometry unchanged."""

import gzip
import random
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from mamba_dense.engine.files import DataError
from mamba_dense.medical.layout import Case, write_dataset_json, write_folds, write_splits
from mamba_dense.medical.volume import Volume, VolumeError, write_labels
from mamba_dense.medical.volume_check import Findings, read_cases, spacing_notes, unseen_classes

ENDING = '.nii.gz'


@dataclass(frozen=True)
class Source:
    """What of a published data set was found in a folder.

    Attributes:
        channels: names; "CT" is treated as nnU-Net does.
        classes: names to write, background first.
        train: cases with masks.
        test: cases for testing, with or without masks.
        patients: case -> patient, whose cases train or validate together; a case that is not in it
            is a patient of its own.
        renumber: class number in the files -> class number to write, every other one becomes 0;
            None keeps the numbers.
        val: cases that validate by the data set's published split, () if there is none.
        problems: what keeps other cases out, one line for each.
    """

    channels: tuple[str, ...]
    classes: tuple[str, ...]
    train: tuple[Case, ...]
    test: tuple[Case, ...] = ()
    patients: Mapping[str, str] = field(default_factory=dict)
    renumber: Mapping[int, int] | None = None
    val: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def numbers(self) -> int:
        """How many class numbers the files may hold."""
        return len(self.classes) if self.renumber is None else max(self.renumber) + 1


def source_problems(source: Source) -> Iterator[str]:
    """One line for each problem; every case is read."""
    findings = Findings(list(source.problems))
    for _ in _read((*source.train, *source.test), source, findings):
        pass
    yield from findings.problems
    yield from _unseen(source, findings)


def write_raw(
    source: Source, out: str | Path, *, val_share: float | None = None, seed: int = 0
) -> tuple[dict[str, int], list[str], list[str]]:
    """Write `source` in nnU-Net's raw layout; what cannot be used is left out.

    Files are copied (compressed where they are not), so that voxels, geometry and types stay as
    they are; masks whose classes get other numbers are written anew in the image's geometry.

    Args:
        source: what was found.
        out: folder to write to, which must not hold data yet.
        val_share: share of the patients that validates, at least one and never all. None takes the
            published split, or writes none: `Layout.split` then deals five folds.
        seed: of the split.

    Returns:
        How many cases were written as 'train', 'val' and 'test' (without a split all train), and
        one line for each thing left out, and one for each worth knowing of the rest.

    Raises:
        DataError: no case can be used; lists why.
        FileExistsError: `out` holds data already.
        ValueError: `val_share` out of its range.
    """
    if val_share is not None and not 0 < val_share < 1:
        raise ValueError(f'val_share={val_share} must lie between 0 and 1')
    out = Path(out)
    for place in ('imagesTr', 'labelsTr', 'imagesTs', 'labelsTs', 'dataset.json', 'splits.json'):
        if (out / place).exists():
            raise FileExistsError(f'{out} holds data already: choose another folder or delete it')
    findings = Findings(list(source.problems))
    names = {}
    for part, cases in (('Tr', source.train), ('Ts', source.test)):
        names[part] = []
        for case, image, labels in _read(cases, source, findings):
            for channel, path in enumerate(case.images):
                _copy(path, out / f'images{part}' / f'{case.name}_{channel:04d}{ENDING}')
            if labels is not None:
                target = out / f'labels{part}' / f'{case.name}{ENDING}'
                _write_mask(target, case, image, labels, source.renumber)
            names[part].append(case.name)
    if not names['Tr']:
        raise DataError(findings.problems or ['no case found'])
    write_dataset_json(
        out, channels=source.channels, classes=source.classes, cases=len(names['Tr'])
    )
    val = _write_split(out, source, names['Tr'], val_share, seed)
    counts = {'train': len(names['Tr']) - val, 'val': val, 'test': len(names['Ts'])}
    left_out = [*findings.problems, *_unseen(source, findings)]
    return counts, left_out, spacing_notes(findings)


def volumes_below(folder: Path, pattern: str) -> list[Path]:
    """Files below `folder` of a name like `pattern` with an ending .nii or .nii.gz, sorted."""
    found = [*folder.rglob(f'{pattern}.nii'), *folder.rglob(f'{pattern}.nii.gz')]
    return sorted(path for path in found if path.is_file() and path.name[0] != '.')


def bare(path: Path) -> str:
    """The name of a volume without its ending."""
    return path.name.removesuffix('.gz').removesuffix('.nii')


def _read(
    cases: Sequence[Case], source: Source, findings: Findings
) -> Iterator[tuple[Case, Volume, np.ndarray | None]]:
    """As `read_cases`; a file that holds all channels of a case is split for the while."""
    count = len(source.channels)
    for case in cases:
        if len(case.images) == count:
            yield from read_cases([case], source.numbers, findings)
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                split = replace(case, images=_split(case.images[0], count, Path(folder)))
            except VolumeError as error:
                findings.problems.append(str(error))
                continue
            yield from read_cases([split], source.numbers, findings)


def _split(path: Path, channels: int, folder: Path) -> tuple[Path, ...]:
    """The channels of a file (X, Y, Z, channels), each as a file in `folder`.

    Raises:
        VolumeError: the file cannot be read, or has other axes.
    """
    try:
        image = nibabel.load(path)
        if len(image.shape) != 4 or image.shape[3] != channels:
            raise VolumeError(
                f'{path}: has the shape {image.shape}; dataset.json names {channels} channels: '
                'give (X, Y, Z, channels), or a file for each.'
            )
        # in memory: a compressed file would be unpacked again for each channel
        whole = type(image)(np.asanyarray(image.dataobj), image.affine, image.header)
        places = tuple(folder / f'{bare(path)}_{n:04d}.nii' for n in range(channels))
        for part, place in zip(nibabel.four_to_three(whole), places, strict=True):
            nibabel.save(part, place)
    except (ImageFileError, EOFError, OSError, zlib.error) as error:
        raise VolumeError(
            f'{path}: cannot be read ({error}); it is truncated, damaged or not NIfTI.'
        ) from error
    return places


def _unseen(source: Source, findings: Findings) -> list[str]:
    renumber = source.renumber
    if renumber is not None:
        findings = Findings(classes={renumber.get(number, 0) for number in findings.classes})
    return unseen_classes(source.classes, findings)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, compressed if it is not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.name.endswith('.gz'):
        shutil.copyfile(source, target)
        return
    with source.open('rb') as plain, gzip.open(target, 'wb', compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed)


def _write_mask(
    target: Path,
    case: Case,
    image: Volume,
    labels: np.ndarray,
    renumber: Mapping[int, int] | None,
) -> None:
    """Copy the mask of a case, or write it with other class numbers."""
    if renumber is None:
        _copy(case.labels, target)
        return
    table = np.zeros(256, np.uint8)
    table[list(renumber)] = list(renumber.values())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_labels(target, table[labels], image)


def _write_split(
    out: Path, source: Source, names: Sequence[str], val_share: float | None, seed: int
) -> int:
    """Write splits.json where a split was asked for, is published, or patients have many cases.

    Returns:
        How many cases validate; 0 without one split, where folds are dealt.
    """
    patients = {name: source.patients.get(name, name) for name in names}
    val = {name for name in names if name in source.val}
    if val_share is not None:
        order = sorted(set(patients.values()))
        if len(order) < 2:
            raise DataError([f'{len(order)} patient: a split needs two; leave the share out'])
        random.Random(seed).shuffle(order)
        held_out = set(order[: min(max(1, round(len(order) * val_share)), len(order) - 1)])
        val = {name for name in names if patients[name] in held_out}
    if val and len(val) < len(names):
        write_splits(out, set(names) - val, val)
        return len(val)
    if source.patients:
        write_folds(out, patients)
    return 0
