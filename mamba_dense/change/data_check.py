"""Looking through pairs: partners that are missing, sizes that differ, labels without a meaning."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mamba_dense.change.labels import coloured, decode, read_colour, read_label
from mamba_dense.change.layouts import Layout, find_layout, names_in, sample_file
from mamba_dense.engine.files import IMAGE_SUFFIXES, DataError


def stem(line: str) -> str:
    """The name of a sample as a list has it, with or without the suffix of a picture."""
    path = Path(line)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else line


def read_names(path: str | Path) -> list[str]:
    """The names of a list, one a line."""
    return [stem(line) for line in Path(path).read_text(encoding='utf-8').split()]


def folder_problems(
    root: str | Path, layout: str = 'folder', task: str = 'bcd', names: str | Path | None = None
) -> Iterator[str]:
    """One line for each file with a problem in a folder of pairs; every file is opened.

    Args:
        root: the folder.
        layout: a name of `layouts.LAYOUTS`.
        task: 'bcd', 'scd' or 'bda'.
        names: file with one name a line; None looks at every file.

    Raises:
        ValueError: an unknown task or layout.
    """
    yield from pair_problems(Path(root), find_layout(layout, task), names)


def pair_problems(root: Path, layout: Layout, names: str | Path | None = None) -> Iterator[str]:
    """As `folder_problems` for a layout that has no name."""
    folders = dict.fromkeys(root / Path(pattern).parent for pattern in layout.patterns)
    missing = [f'{folder}: no such folder' for folder in folders if not folder.is_dir()]
    if missing:
        yield from missing
        return
    there = {pattern: names_in(root, pattern) for pattern in layout.patterns}
    every = sorted({name for files in there.values() for name in files})
    if names is not None:
        every = read_names(names)
    if not every:
        looked = ', '.join(str(root / pattern) for pattern in layout.patterns)
        yield f'{root}: no pairs; looked for {looked} ({", ".join(IMAGE_SUFFIXES)})'
    for name in every:
        yield from _name_problems(root, layout, name, there)


def _name_problems(
    root: Path, layout: Layout, name: str, there: Mapping[str, Mapping[str, Path]]
) -> Iterator[str]:
    lacking = [str(sample_file(root, p, name)) for p in there if name not in there[p]]
    if not lacking:
        yield from sample_problems(sample_of(root, layout, name))
        return
    own = next((str(files[name]) for files in there.values() if name in files), f'{root}: {name}')
    yield f'{own}: has no partner {", ".join(lacking)}'


def sample_of(root: Path, layout: Layout, name: str) -> dict[str, Any]:
    """A sample whose files are there, as `ChangeFolder` lists it."""
    return {
        'name': name,
        'img_path': str(sample_file(root, layout.pre, name)),
        'post_path': str(sample_file(root, layout.post, name)),
        'label_paths': {
            label: str(sample_file(root, pattern, name)) for label, pattern in layout.labels.items()
        },
        'encodings': layout.encodings,
    }


def sample_problems(sample: Mapping[str, Any]) -> list[str]:
    """What is wrong with the files of one sample, a line for each file.

    Args:
        sample: an entry of `ChangeFolder`.
    """
    problems: dict[str, str] = {}
    size = None
    for key in ('img_path', 'post_path'):
        path = sample[key]
        try:
            image = read_colour(path)
        except DataError as error:
            problems[path] = str(error)
            continue
        if size is not None and image.shape[:2] != size:
            problems[path] = f'{path} has {_by(image.shape)} pixels, its first date {_by(size)}'
        size = size or image.shape[:2]
    for label, path in sample['label_paths'].items():
        problem = _label_problem(path, sample['encodings'][label], size)
        if problem is not None:
            problems.setdefault(path, problem)
    return list(problems.values())


def _label_problem(path: str, meaning: Mapping, size: Sequence[int] | None) -> str | None:
    try:
        label = read_label(path, coloured(meaning))
        if size is not None and label.shape[:2] != tuple(size):
            return f'{path} has {_by(label.shape)} pixels, its images {_by(size)}'
        decode(label, meaning, path)
    except DataError as error:
        return str(error)
    return None


def read_sample(sample: Mapping[str, Any]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Both pictures (H, W, 3) and the labels' class numbers (H, W) by name.

    Raises:
        DataError: a file cannot be read, or holds what has no meaning.
    """
    pictures = [read_colour(sample[key]) for key in ('img_path', 'post_path')]
    labels = {}
    for name, path in sample['label_paths'].items():
        meaning = sample['encodings'][name]
        labels[name] = decode(read_label(path, coloured(meaning)), meaning, path)
    return pictures, labels


def _by(size: Sequence[int]) -> str:
    return f'{size[1]}x{size[0]}'
