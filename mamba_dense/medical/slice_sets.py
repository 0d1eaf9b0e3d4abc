"""Synapse as TransUNet distributes it: slices and volumes -> 16-bit PNGs that name their case.

arXiv 2102.04306: train.txt names slices caseNNNN_sliceMMM.npz, test_vol.txt volumes
caseNNNN.npy.h5, both with `image` in 0..1 and `label`. Every slice becomes a file
CASE_sliceMMM.png, so that `SliceCaseScores` can put the slices of a case together again.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from mamba_dense.engine.files import DataError

CLASSES = (
    'background',
    'aorta',
    'gallbladder',
    'left kidney',
    'right kidney',
    'liver',
    'pancreas',
    'spleen',
    'stomach',
)
_LISTS = {'train': ('train.txt', '.npz'), 'val': ('test_vol.txt', '.npy.h5')}
_WHITE = 65535
_SLACK = 1e-3  # intensities may leave 0..1 by rounding


@dataclass(frozen=True)
class SliceSource:
    """Files of slices (`train`) and of volumes (`val`), and what keeps others out."""

    files: dict[str, tuple[Path, ...]]
    problems: tuple[str, ...] = ()


def find_slices(folder: Path) -> SliceSource:
    """The files that train.txt and test_vol.txt name, anywhere below `folder`.

    Without a list every file of its kind counts.
    """
    problems, files = [], {}
    for subset, (listed, ending) in _LISTS.items():
        there = {
            path.name.removesuffix(ending): path
            for path in sorted(folder.rglob(f'*{ending}'))
            if path.name[0] != '.'
        }
        lists = sorted(folder.rglob(listed))
        names = list(there)
        if lists:
            names = [n.strip().removesuffix(ending) for n in lists[0].read_text().splitlines()]
            names = [name for name in names if name]
        problems += [
            f'{lists[0]}: names {name}, but there is no {name}{ending} below {folder}'
            for name in names
            if name not in there
        ]
        files[subset] = tuple(there[name] for name in names if name in there)
        if not names:
            problems.append(f'{folder}: no file *{ending} below it')
    return SliceSource(files, tuple(problems))


def slice_problems(source: SliceSource) -> Iterator[str]:
    """One line for each problem; every slice and volume is read."""
    yield from source.problems
    for path in (path for files in source.files.values() for path in files):
        try:
            read_slices(path)
        except DataError as error:
            yield from error.problems


def write_slices(
    source: SliceSource, out: str | Path, *, val_share: float | None = None, seed: int = 0
) -> tuple[dict[str, int], list[str], list[str]]:
    """Write every slice in mmseg's layout; what cannot be read is left out.

    Images become 16-bit PNGs (0..1 to 0..65535), labels 8-bit ones.

    Args:
        source: what was found; its lists are the split.
        out: folder to write to, which must not hold data yet.
        val_share, seed: not for this set, whose lists split it.

    Returns:
        How many slices were written, by subset, one line for each file that was left out, and
        nothing worth knowing of the rest.

    Raises:
        DataError: no file can be used; lists why.
        FileExistsError: `out` holds data already.
        ValueError: `val_share` is given.
    """
    if val_share is not None or seed:
        raise ValueError(
            f'val_share={val_share}, seed={seed}: train.txt and test_vol.txt split these slices; '
            'edit the lists for another split.'
        )
    out = Path(out)
    if any((out / folder).exists() for folder in ('img_dir', 'ann_dir')):
        raise FileExistsError(f'{out} holds data already: choose another folder or delete it')
    counts, left_out = dict.fromkeys(source.files, 0), list(source.problems)
    for subset, files in source.files.items():
        for path in files:
            try:
                image, label = read_slices(path)
            except DataError as error:
                left_out += error.problems
                continue
            for name, one, classes in _named(path, image, label):
                _save(out / 'img_dir' / subset / name, one)
                _save(out / 'ann_dir' / subset / name, classes)
                counts[subset] += 1
    if not any(counts.values()):
        raise DataError(left_out)
    content = json.dumps({'classes': list(CLASSES)}, indent=2)
    (out / 'classes.json').write_text(content + '\n', encoding='utf-8')
    return counts, left_out, []


def read_slices(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Image, uint16, and classes, uint8, of a slice (H, W) or of a volume (D, H, W).

    Raises:
        DataError: not readable, an array is missing, other shapes, intensities outside 0..1 or not
            finite, labels outside the classes.
    """
    try:
        if path.suffix == '.npz':
            with np.load(path) as content:
                arrays = {key: content[key] for key in ('image', 'label') if key in content}
        else:
            with h5py.File(path) as content:
                arrays = {key: content[key][()] for key in ('image', 'label') if key in content}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError([f'{path}: not readable ({error})']) from error
    if len(arrays) < 2:
        raise DataError([f'{path}: holds {sorted(arrays)}; it must hold image and label'])
    image, label = arrays['image'], arrays['label']
    axes = 2 if path.suffix == '.npz' else 3
    if image.shape != label.shape or image.ndim != axes or not image.size:
        wanted = '(H, W)' if axes == 2 else '(slices, H, W)'
        raise DataError(
            [f'{path}: image {image.shape}, label {label.shape}; both must be {wanted}']
        )
    if not np.isfinite(image).all():
        raise DataError([f'{path}: {np.count_nonzero(~np.isfinite(image))} voxels are NaN or inf'])
    low, high = float(image.min()), float(image.max())
    if low < -_SLACK or high > 1 + _SLACK:
        raise DataError(
            [f'{path}: intensities {low:g} to {high:g}; clip CT to -125..275 and scale it to 0..1']
        )
    wrong = sorted(
        {float(value) for value in np.unique(label)} - {*map(float, range(len(CLASSES)))}
    )
    if wrong:
        raise DataError([f'{path}: labels {wrong[:8]}; allowed: 0 to {len(CLASSES) - 1}'])
    return np.rint(image.clip(0, 1) * _WHITE).astype(np.uint16), label.astype(np.uint8)


def _named(path: Path, image: np.ndarray, label: np.ndarray) -> Iterator[tuple]:
    """File name, image and classes of each slice."""
    if path.suffix == '.npz':
        yield f'{path.stem}.png', image, label
        return
    case = path.name.removesuffix('.npy.h5')
    for index, (one, classes) in enumerate(zip(image, label, strict=True)):
        yield f'{case}_slice{index:03d}.png', one, classes


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
