"""Volumes or pictures in nnU-Net's raw layout: what lies in the folder, and how it is split.

    imagesTr/NAME_0000.nii.gz ...   one file for each channel of a case; a picture (.png) may hold
                                    all its channels in the first
    labelsTr/NAME.nii.gz            its classes, 0 is background
    imagesTs/, labelsTs/            cases for testing; labels are optional
    dataset.json                    channels, classes, ending of the files
    splits.json                     {"train": [NAME, ...], "val": [...]}; optional

Both generations of dataset.json are read: `channel_names` and `labels` from name to number, and
that of the Medical Segmentation Decathlon (MSD), `modality` and `labels` from number to name,
whose images of one channel carry no number.
"""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mamba_dense.engine.files import IMAGE_SUFFIXES, DataError

FOLDS = 5
SPLITS = ('train', 'val', 'all', 'test')
_SEED = 12345
_CHANNEL = re.compile(r'(.+)_(\d{4})')


@dataclass(frozen=True)
class Case:
    """One patient's picture: a file for each channel, and the file of its classes, if any."""

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None


@dataclass(frozen=True)
class Layout:
    """What a folder of nnU-Net's raw layout holds.

    Attributes:
        root: the folder.
        classes: names in the order of their numbers, background first.
        channels: names in the order of their numbers; "CT" is treated as nnU-Net does.
        ending: of the files, such as `.nii.gz`.
        train: cases of imagesTr, all with labels, sorted by name.
        test: cases of imagesTs, sorted by name.
    """

    root: Path
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    ending: str
    train: tuple[Case, ...]
    test: tuple[Case, ...] = ()

    def split(self, name: str, fold: int = 0) -> tuple[Case, ...]:
        """The cases of 'train', 'val', 'all' (both) or 'test'.

        splits.json decides (a list in it has one entry a fold, as nnU-Net's splits_final.json);
        without it the names are shuffled with a fixed seed and dealt to five folds, or as many as
        there are cases.

        Args:
            name: one of `SPLITS`.
            fold: which fold validates.

        Raises:
            ValueError: unknown name, or no such fold.
            DataError: splits.json does not fit the cases; lists every problem.
        """
        if name not in SPLITS:
            raise ValueError(f'split={name!r} is unknown; known: {", ".join(SPLITS)}')
        if name in ('all', 'test'):
            return self.train if name == 'all' else self.test
        names = {case.name for case in self.train}
        path = self.root / 'splits.json'
        chosen = _written(path, names, fold) if path.is_file() else _dealt(names, fold)
        return tuple(case for case in self.train if case.name in chosen[name])


def read_layout(root: str | Path) -> Layout:
    """Read the folder `root`; no picture is opened.

    Raises:
        DataError: lists every problem: of dataset.json, missing masks, missing channels.
    """
    layout, problems = scan_layout(root)
    if problems or layout is None:
        raise DataError(problems)
    return layout


def scan_layout(root: str | Path, *, stacked: bool = False) -> tuple[Layout | None, list[str]]:
    """As `read_layout`, with the problems beside the cases that have none.

    Args:
        root: the folder.
        stacked: whether one file may hold all channels of a case, as in some sets of the MSD.

    Returns:
        The layout of all whole cases (None where dataset.json cannot be used), one line for each
        problem.
    """
    root = Path(root)
    if not root.is_dir():
        return None, [f'{root}: no such folder']
    path = root / 'dataset.json'
    if not path.is_file():
        example = '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}'
        ending = '"numTraining": 1, "file_ending": ".nii.gz"}'
        return None, [
            f"{path}: does not exist; in nnU-Net's raw layout it says {example}, {ending}"
        ]
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return None, [f'{path}: not JSON ({error})']
    if not isinstance(content, dict):
        return None, [f'{path}: holds {type(content).__name__}; it must be an object {{...}}']
    problems: list[str] = []
    classes = _classes(path, content, problems)
    channels = _channels(path, content, problems)
    if problems:
        return None, problems
    ending = str(content.get('file_ending', '.nii.gz'))
    train = _cases(root, 'Tr', ending, len(channels), problems, stacked)
    test = _cases(root, 'Ts', ending, len(channels), problems, stacked)
    if not train and not problems:
        problems.append(f'{root / "imagesTr"}: no images *{ending}')
    return Layout(root, classes, channels, ending, tuple(train), tuple(test)), problems


def write_dataset_json(
    root: str | Path,
    *,
    channels: Sequence[str],
    classes: Sequence[str],
    cases: int,
    ending: str = '.nii.gz',
) -> None:
    """Write `root`/dataset.json of the present generation."""
    content = {
        'channel_names': {str(n): name for n, name in enumerate(channels)},
        'labels': {name: n for n, name in enumerate(classes)},
        'numTraining': cases,
        'file_ending': ending,
    }
    Path(root, 'dataset.json').write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def write_splits(root: str | Path, train: Iterable[str], val: Iterable[str]) -> None:
    """Write `root`/splits.json, which `Layout.split` reads."""
    content = {'train': sorted(train), 'val': sorted(val)}
    Path(root, 'splits.json').write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def write_folds(root: str | Path, patients: Mapping[str, str]) -> None:
    """Write `root`/splits.json with a list of folds, each patient (case -> patient) in one."""
    names = set(patients.values())
    folds = []
    for fold in range(min(FOLDS, len(names)) if len(names) > 1 else 0):
        chosen = _dealt(names, fold)
        parts = {
            subset: sorted(case for case, patient in patients.items() if patient in chosen[subset])
            for subset in ('train', 'val')
        }
        folds.append(parts)
    if folds:
        Path(root, 'splits.json').write_text(json.dumps(folds, indent=2) + '\n', encoding='utf-8')


def _classes(path: Path, content: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    """Class names by number, from either generation."""
    labels = content.get('labels')
    if not isinstance(labels, dict) or not labels:
        problems.append(f'{path}: labels={labels!r}; write {{"background": 0, "liver": 1, ...}}')
        return ()
    first = 'modality' in content and all(str(key).isdigit() for key in labels)
    pairs = [(name, number) if not first else (number, name) for name, number in labels.items()]
    found: dict[int, str] = {}
    for name, number in pairs:
        if isinstance(number, list) or name == 'ignore':
            problems.append(
                f'{path}: label {name!r} is a region or the ignored one, which are not served; '
                'give each class one number in the masks'
            )
        elif not str(number).isdigit():
            problems.append(f'{path}: label {name!r} has the number {number!r}; use 0, 1, 2, ...')
        elif int(number) in found:
            problems.append(f'{path}: labels {found[int(number)]!r} and {name!r} are both {number}')
        else:
            found[int(number)] = str(name)
    if not problems and sorted(found) != list(range(len(found))):
        problems.append(f'{path}: labels are numbered {sorted(found)}; they must be 0, 1, 2, ...')
    return tuple(found[number] for number in sorted(found))


def _channels(path: Path, content: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    """Channel names by number, from either generation."""
    named = content.get('channel_names', content.get('modality'))
    if not isinstance(named, dict) or sorted(map(str, named)) != [*map(str, range(len(named)))]:
        problems.append(
            f'{path}: channel_names={named!r}; write {{"0": "CT"}} or {{"0": "T1", ...}}'
        )
        return ()
    if not named:
        problems.append(f'{path}: channel_names is empty; write {{"0": "CT"}}')
    return tuple(str(named[key]) for key in sorted(named, key=int))


def _cases(
    root: Path, subset: str, ending: str, channels: int, problems: list[str], stacked: bool
) -> list[Case]:
    """The whole cases of imagesTr or imagesTs; what is wrong with the others goes to `problems`."""
    images, labels = root / f'images{subset}', root / f'labels{subset}'
    masks = {path.name.removesuffix(ending): path for path in _files(labels, ending)}
    found: dict[str, dict[int, Path]] = {}
    for path in _files(images, ending):
        stem = path.name.removesuffix(ending)
        numbered = _CHANNEL.fullmatch(stem)
        if stem in masks or numbered is None:  # MSD: the file is named as the case
            found.setdefault(stem, {})[0] = path
        else:
            found.setdefault(numbered[1], {})[int(numbered[2])] = path
    required = subset == 'Tr'
    cases = []
    for name in sorted(found):
        files = found[name]
        together = (stacked or ending in IMAGE_SUFFIXES) and sorted(files) == [0]
        if sorted(files) != list(range(channels)) and not together:
            have = ', '.join(f'{number:04d}' for number in sorted(files))
            need = ', '.join(f'{number:04d}' for number in range(channels))
            problems.append(
                f'{images}: case {name} has the channels {have}; dataset.json: {need} (prepare_data'
                '.py medical --layout nnunet splits files of several channels)'
            )
        elif required and name not in masks:
            problems.append(f'{labels / (name + ending)}: missing, the mask of {files[0]}')
        else:
            cases.append(Case(name, tuple(files[n] for n in sorted(files)), masks.get(name)))
    for name in sorted(set(masks) - set(found)):
        problems.append(f'{masks[name]}: a mask without images in {images}')
    return cases


def _files(folder: Path, ending: str) -> list[Path]:
    """Files of one ending, but for the shadows (`._NAME`) in archives made on a Mac."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.endswith(ending) and p.name[0] != '.')


def _written(path: Path, names: set[str], fold: int) -> dict[str, set[str]]:
    """One fold of splits.json."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError([f'{path}: not JSON ({error})']) from error
    folds = content if isinstance(content, list) else [content]
    if not 0 <= fold < len(folds):
        raise ValueError(f'fold={fold}: {path} has the folds 0 to {len(folds) - 1}')
    chosen, problems = {}, []
    for subset in ('train', 'val'):
        listed = folds[fold].get(subset) if isinstance(folds[fold], dict) else None
        if not isinstance(listed, list) or not listed:
            problems.append(f'{path}: fold {fold} has no list of names {subset!r}')
            continue
        chosen[subset] = set(listed)
        problems += [
            f'{path}: {subset} names {name!r}, which is no case of imagesTr'
            for name in sorted(chosen[subset] - names)
        ]
    both = chosen.get('train', set()) & chosen.get('val', set())
    problems += [f'{path}: {name!r} is in both train and val' for name in sorted(both)]
    if problems:
        raise DataError(problems)
    return chosen


def _dealt(names: set[str], fold: int) -> dict[str, set[str]]:
    """One of `FOLDS` folds, the same on every machine."""
    count = min(FOLDS, len(names))
    if count < 2:
        raise DataError(
            [f'{len(names)} case(s): a split needs two; split="all" takes what there is']
        )
    if not 0 <= fold < count:
        raise ValueError(f'fold={fold}: {len(names)} cases are dealt to the folds 0 to {count - 1}')
    mixed = sorted(names)
    random.Random(_SEED).shuffle(mixed)
    val = set(mixed[fold::count])
    return {'train': names - val, 'val': val}
