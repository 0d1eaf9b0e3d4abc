"""Pairs of any known layout -> checked pairs of another one: cut, split, labels as numbers."""

import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mamba_dense.change.data_check import (
    pair_problems,
    read_names,
    read_sample,
    sample_of,
)
from mamba_dense.change.layouts import TASKS, Layout, find_layout, names_in
from mamba_dense.engine.files import DataError

_BINARY = ('change', 'building')
IGNORE = 255


def write_pairs(
    source: str | Path,
    out: str | Path,
    *,
    layout: str = 'folder',
    task: str = 'bcd',
    target: str = 'folder',
    tile: int | None = None,
    val_share: float | None = None,
    seed: int = 0,
    names: str | Path | None = None,
    values: Mapping[int, int] | None = None,
) -> dict[str, int]:
    """Write the pairs below `source` to `out` in the layout `target`, labels as class numbers.

    Everything is checked before anything is written. Binary labels become 0 and 255. Beside each
    written folder stands the list of its names, `FOLDER_list.txt`.

    Args:
        source: folder of pairs.
        out: the folder to write to, which must not hold data yet; with `val_share` its `train` and
            `val`.
        layout: of `source`, a name of `layouts.LAYOUTS`.
        task: 'bcd', 'scd' or 'bda'.
        target: the layout to write.
        tile: cut into squares of so many pixels, named NAME_ROW_COLUMN; the last row and column
            are moved inwards, so that nothing is lost; smaller pictures stay whole.
        val_share: share of the pictures (whole ones, before they are cut) that validates, at least
            one and never all; None writes one folder.
        seed: of the split.
        names: file with one name a line; None takes every pair.
        values: stored value -> class number, in place of the layout's own encoding: of `change`
            for 'bcd', of the land covers or of the damage for the others.

    Returns:
        How many pairs were written, by folder: 'train' and 'val', or the name of `out`.

    Raises:
        DataError: lists every file with a problem.
        FileExistsError: `out` holds data already.
        ValueError: an argument is out of its range.
    """
    if val_share is not None and not 0 < val_share < 1:
        raise ValueError(f'val_share={val_share} must lie between 0 and 1')
    if tile is not None and tile < 32:
        raise ValueError(f'tile={tile} must be at least 32 pixels')
    source, out = Path(source), Path(out)
    found = with_values(find_layout(layout, task), task, values)
    wanted = find_layout(target, task)
    subsets = _split(_checked_names(source, found, names), out, val_share, seed)
    _refuse_taken(subsets, wanted)
    counts = {}
    for folder, chosen in subsets.items():
        written = []
        for name in chosen:
            written += _write_sample(sample_of(source, found, name), folder, wanted, tile)
        listed = folder.with_name(f'{folder.name}_list.txt')
        listed.write_text('\n'.join(written) + '\n', encoding='utf-8')
        counts[folder.name] = len(written)
    return counts


def with_values(layout: Layout, task: str, values: Mapping[int, int] | None) -> Layout:
    """`layout` with another encoding of the labels that have the task's classes.

    Raises:
        ValueError: a number that is no class of the task.
    """
    if values is None:
        return layout
    changed = [name for name in TASKS[task] if task == 'bcd' or name not in _BINARY]
    count = len(TASKS[task][changed[0]])
    allowed = {*range(count), *(() if task == 'bcd' else (IGNORE,))}
    wrong = {value: number for value, number in values.items() if number not in allowed}
    if wrong:
        known = ', '.join(map(str, sorted(allowed)))
        raise ValueError(f'values maps to {wrong}; class numbers of {task} are {known}')
    encodings = {**layout.encodings, **dict.fromkeys(changed, dict(values))}
    return replace(layout, encodings=encodings)


def _checked_names(source: Path, layout: Layout, names: str | Path | None) -> list[str]:
    """The names of the pairs, whose files have all been looked at."""
    problems = list(pair_problems(source, layout, names))
    if problems:
        raise DataError(problems)
    return read_names(names) if names is not None else sorted(names_in(source, layout.pre))


def _split(
    names: Sequence[str], out: Path, val_share: float | None, seed: int
) -> dict[Path, list[str]]:
    """The names of each folder to write."""
    if val_share is None:
        return {out: list(names)}
    if len(names) < 2:
        raise DataError([f'{len(names)} pairs found, at least 2 are needed for a split'])
    mixed = list(names)
    random.Random(seed).shuffle(mixed)
    held_out = min(max(1, round(len(mixed) * val_share)), len(mixed) - 1)
    return {out / 'train': sorted(mixed[held_out:]), out / 'val': sorted(mixed[:held_out])}


def _refuse_taken(folders: Iterable[Path], layout: Layout) -> None:
    """Raise where something is that would be written."""
    places = [folder / Path(pattern).parent for folder in folders for pattern in layout.patterns]
    for place in places:
        if place.exists():
            raise FileExistsError(f'{place} is there already: choose another folder or delete it')


def _write_sample(
    sample: Mapping[str, Any], out: Path, layout: Layout, tile: int | None
) -> list[str]:
    """Write one pair, whole or in tiles; the names of what was written."""
    pictures, labels = read_sample(sample)
    files = dict(zip((layout.pre, layout.post), pictures, strict=True))
    for label, pattern in layout.labels.items():
        files[pattern] = labels[label] * 255 if label in _BINARY else labels[label]
    size = pictures[0].shape[:2]
    whole = tile is None or max(size) <= tile
    bare = '_0_0' if '{id}' in layout.pre else ''
    windows = [(bare, (slice(None), slice(None)))] if whole else _windows(size, tile)
    sources = {layout.pre: sample['img_path'], layout.post: sample['post_path']}
    for place, window in windows:
        for pattern, array in files.items():
            origin = Path(sources[pattern]) if whole and pattern in sources else None
            _write(_target(out, pattern, sample['name'], place), array[window], origin)
    return [sample['name'] + place for place, _ in windows]


def _windows(size: Sequence[int], tile: int) -> list[tuple[str, tuple[slice, slice]]]:
    """`_ROW_COLUMN` and the window of each tile."""
    starts = [
        [min(n * tile, max(side - tile, 0)) for n in range(-(-side // tile))] for side in size
    ]
    return [
        (f'_{row}_{column}', (slice(top, top + tile), slice(left, left + tile)))
        for row, top in enumerate(starts[0])
        for column, left in enumerate(starts[1])
    ]


def _target(out: Path, pattern: str, name: str, place: str) -> Path:
    if '{id}' in pattern:
        return out / pattern.format(id=name, tile=place.removeprefix('_'))
    return out / pattern.format(name=name + place)


def _write(path: Path, array: np.ndarray, origin: Path | None) -> None:
    """Write an array as PNG, or copy the picture that it came from where the name allows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fixed = path.suffix == '.png'
    if origin is not None and not (fixed and origin.suffix.lower() != '.png'):
        shutil.copyfile(origin, path if fixed else path.with_name(path.name + origin.suffix))
        return
    Image.fromarray(array).save(path if fixed else path.with_name(f'{path.name}.png'))
