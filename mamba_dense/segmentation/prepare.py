"""Writing segmentation data in mmseg's layout: img_dir/{train,val} beside ann_dir/{train,val}."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mamba_dense import samples
from mamba_dense.engine.files import IMAGE_SUFFIXES, DataError, image_problem, read_mask
from mamba_dense.segmentation.data_check import mask_problem

SAMPLES = ('nuclei',)
CLASSES_FILE = 'classes.json'


def write_sample(name: str, out: str | Path) -> Path:
    """Write a bundled data set, split as samples/splits.json says, to `out`; `out`.

    Raises:
        ValueError: `name` has no segmentation data; lists what has.
    """
    if name not in SAMPLES:
        raise ValueError(f'name={name!r} is not a segmentation sample; known: {", ".join(SAMPLES)}')
    out = Path(out)
    split = samples.splits()[name]
    image = Image.open(samples.path(split['image']))
    mask = Image.fromarray(
        (np.array(Image.open(samples.path(split['instances']))) > 0).astype('u1')
    )
    for subset in ('train', 'val'):
        for left, top, right, bottom in split[subset]['boxes_xyxy']:
            file = f'{name}_x{left}_y{top}.png'
            for folder, picture in (('img_dir', image), ('ann_dir', mask)):
                target = out / folder / subset
                target.mkdir(parents=True, exist_ok=True)
                picture.crop((left, top, right, bottom)).save(target / file)
    _write_classes(out, split['classes'])
    return out


def write_folder(
    images: str | Path,
    masks: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str],
    values: Mapping[int, int] | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    ignore: int = 255,
) -> dict[str, int]:
    """Turn a folder of images and one of masks of the same names into mmseg's layout.

    Everything is checked before anything is written. Masks become 8-bit PNGs of class numbers,
    images are copied as they are (all of one suffix).

    Args:
        images: folder of images.
        masks: folder of masks, `NAME.png` (or another suffix) for the image `NAME.jpg`.
        out: folder to write to; must not hold data yet.
        classes: names of the classes, in the order of their numbers.
        values: mask value -> class number (or `ignore`); None takes the values as class numbers.
        val_share: share of the images that validates, at least one and never all.
        seed: of the split.
        ignore: value of pixels that count for nothing.

    Returns:
        How many images went to 'train' and 'val'.

    Raises:
        DataError: lists every file with a problem.
        FileExistsError: `out` holds data already.
        ValueError: an argument is out of its range.
    """
    if not 0 < val_share < 1:
        raise ValueError(f'val_share={val_share} must lie between 0 and 1')
    out = Path(out)
    if any((out / folder).exists() for folder in ('img_dir', 'ann_dir')):
        raise FileExistsError(f'{out} holds data already: choose another folder or delete it')
    pairs = match_pairs(Path(images), Path(masks))
    table = _value_table(values, len(classes), ignore)
    check_pairs(pairs, table, classes, ignore)
    random.Random(seed).shuffle(pairs)
    held_out = min(max(1, round(len(pairs) * val_share)), len(pairs) - 1)
    counts = {'val': held_out, 'train': len(pairs) - held_out}
    for n, (image, mask) in enumerate(pairs):
        subset = 'val' if n < held_out else 'train'
        for folder in ('img_dir', 'ann_dir'):
            (out / folder / subset).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, out / 'img_dir' / subset / image.name)
        labels = Image.fromarray(table[read_mask(mask)])
        labels.save(out / 'ann_dir' / subset / f'{image.stem}.png')
    _write_classes(out, classes)
    return counts


def match_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Each image with the mask of its name.

    Raises:
        DataError: a folder is missing or empty, an image lacks its mask, suffixes are mixed.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError([f'{folder}: no such folder'])
    found = sorted(file for file in images.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    known = ', '.join(IMAGE_SUFFIXES)
    if len(found) < 2:
        raise DataError([f'{images}: {len(found)} images found, at least 2 needed ({known})'])
    suffixes = sorted({file.suffix for file in found})
    if len(suffixes) > 1:
        raise DataError([f'{images}: mixed suffixes {", ".join(suffixes)}; convert them to one'])
    by_name = {}
    for file in sorted(masks.iterdir()):
        if file.suffix.lower() in IMAGE_SUFFIXES:
            by_name.setdefault(file.stem, file)
    lacking = [
        f'{file}: no mask {file.stem}.png in {masks}' for file in found if file.stem not in by_name
    ]
    if lacking:
        raise DataError(lacking)
    return [(file, by_name[file.stem]) for file in found]


def check_pairs(
    pairs: Sequence[tuple[Path, Path]], table: np.ndarray, classes: Sequence[str], ignore: int
) -> None:
    """Look at every image and mask.

    Raises:
        DataError: lists every file with a problem, or the classes that no mask shows.
    """
    allowed = [int(value) for value in np.flatnonzero(table != _REFUSED) if value != ignore]
    problems, found = [], set()
    for image, mask in pairs:
        problem = image_problem(image) or mask_problem(mask, image, allowed, ignore)
        if problem:
            problems.append(problem)
        else:
            found.update(np.unique(read_mask(mask)).tolist())
    seen = {int(table[value]) for value in found}
    absent = [name for number, name in enumerate(classes) if number not in seen]
    if absent and not problems:
        text = f'no mask shows {", ".join(absent)}; the masks hold the values {sorted(found)}'
        if ignore in found and table[ignore] == ignore:
            text += f', of which {ignore} is ignored; --values 0=0 {ignore}=1 would make it class 1'
        problems.append(text)
    if problems:
        raise DataError(problems)


_REFUSED = 254  # a mask value that no class and no ignored pixel has


def _value_table(values: Mapping[int, int] | None, classes: int, ignore: int) -> np.ndarray:
    """(65536,) uint8: mask value -> class number, `_REFUSED` where there is none."""
    if not 2 <= classes < _REFUSED:
        raise ValueError(f'{classes} classes given; between 2 and {_REFUSED - 1} are possible')
    if values is None:
        values = {number: number for number in range(classes)}
    wrong = {
        value: number for value, number in values.items() if number not in {*range(classes), ignore}
    }
    if wrong:
        raise ValueError(
            f'values maps to {wrong}; class numbers are 0 to {classes - 1}, or {ignore}'
        )
    table = np.full(2**16, _REFUSED, np.uint8)
    table[ignore] = ignore
    for value, number in values.items():
        table[value] = number
    return table


def _write_classes(out: Path, classes: Sequence[str]) -> None:
    (out / CLASSES_FILE).write_text(json.dumps({'classes': list(classes)}, indent=2) + '\n')
