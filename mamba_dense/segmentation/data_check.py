"""Looking at data before hours of training depend on it: each finding names file and value."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mamba_dense.engine.files import IMAGE_SUFFIXES, image_problem, read_mask

_LARGE = 8  # at most so many values are listed


def mask_problem(
    path: str | Path,
    image: str | Path | None,
    allowed: Sequence[int],
    ignore: int = 255,
    whole: bool = True,
) -> str | None:
    """What is wrong with a mask file, or None.

    Args:
        path: the mask.
        image: its image, whose size it must have; None does not look.
        allowed: values that mean a class.
        ignore: value of pixels that count for nothing.
        whole: look at every value, not at the size alone.
    """
    problem = image_problem(path, whole=whole)
    if problem:
        return problem
    size = _size(path)
    if image is not None and size != _size(image):
        return f'{path}: mask of {_by(size)} pixels for an image of {_by(_size(image))} ({image})'
    if not whole:
        return None
    mask = read_mask(path)
    if mask.ndim != 2:
        return (
            f'{path}: {mask.shape[2]} channels; a mask has one, the class number of each pixel '
            '(save it as a grey or palette PNG)'
        )
    return value_problem(path, mask, allowed, ignore)


def value_problem(
    path: str | Path, mask: np.ndarray, allowed: Sequence[int], ignore: int = 255
) -> str | None:
    """Which values of `mask` (H, W) are neither a class nor `ignore`, or None."""
    wrong = sorted({int(value) for value in np.unique(mask)} - {*allowed, ignore})
    if not wrong:
        return None
    listed = ', '.join(map(str, wrong[:_LARGE])) + (', ...' if len(wrong) > _LARGE else '')
    return (
        f'{path}: label {listed} outside the classes; allowed: {_ranges(allowed)} and {ignore} '
        '(ignored). tools/prepare_data.py folder --values maps other values'
    )


def folder_problems(root: str | Path) -> Iterator[str]:
    """Check a folder in the layout of `prepare.py`; yields one line for each problem."""
    root = Path(root)
    classes = root / 'classes.json'
    if not classes.is_file():
        yield f'{classes}: does not exist; it holds {{"classes": ["background", ...]}}'
        return
    allowed = range(len(json.loads(classes.read_text())['classes']))
    for subset in ('train', 'val'):
        folder = root / 'img_dir' / subset
        images = sorted(f for f in folder.glob('*') if f.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            yield f'{folder}: no images ({", ".join(IMAGE_SUFFIXES)})'
        for image in images:
            mask = root / 'ann_dir' / subset / f'{image.stem}.png'
            problem = image_problem(image) or mask_problem(mask, image, allowed)
            if problem:
                yield problem


def _size(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _ranges(values: Sequence[int]) -> str:
    values = sorted(values)
    if values == list(range(values[0], values[-1] + 1)) and len(values) > 2:
        return f'{values[0]} to {values[-1]}'
    return ', '.join(map(str, values))
