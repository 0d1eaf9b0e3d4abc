"""Writing COCO's layout: images/{train,val} and annotations/{train,val}.json, all checked first."""

import csv
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mamba_dense import samples
from mamba_dense.detection.annotations import Annotation, annotation_problem, clipped
from mamba_dense.detection.readers import instances, read_csv, read_instances, read_voc, read_yolo
from mamba_dense.engine.files import IMAGE_SUFFIXES, DataError, picture_problem

FORMATS = ('yolo', 'csv', 'voc', 'instances')
SUBSETS = ('train', 'val')
# parts of nuclei that a quadrant's edge leaves behind
SLIVER = 16


def write_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    *,
    form: str,
    classes: Sequence[str],
    val_share: float = 0.2,
    seed: int = 0,
    first_pixel: int = 0,
    min_area: int = 1,
    drop: bool = False,
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Turn a folder of images and their boxes or masks into COCO's layout.

    Everything is checked before anything is written; images are copied as they are.

    Args:
        images: folder of images.
        labels: folder of label files, or the table for 'csv'.
        out: folder to write to; must not hold data yet.
        form: one of `FORMATS`.
        classes: names of the classes; for 'yolo' in the order of their numbers.
        val_share: share of the images that validates, at least one and never all.
        seed: of the split.
        first_pixel: see `readers.read_voc`.
        min_area: see `readers.read_instances`.
        drop: leave out what cannot be used, instead of refusing everything.

    Returns:
        (images, objects) of 'train' and 'val', and what was left out, one line each.

    Raises:
        DataError: lists every box, mask and file that cannot be used.
        FileExistsError: `out` holds data already.
        ValueError: an argument is out of its range.
    """
    out = Path(out)
    _check_arguments(out, val_share, first_pixel)
    files = find_images(Path(images))
    sizes = {file.name: _size(file) for file in files}
    found = list(
        _read(Path(labels), sizes, form, classes, first_pixel=first_pixel, min_area=min_area)
    )
    kept, problems = sort_out(found, sizes, classes)
    if not kept:
        problems.append(f'{labels}: no object that can be used')
    if problems and (not drop or not kept):
        raise DataError(problems)
    counts = {}
    for subset, part in split(files, val_share, seed).items():
        (out / 'images' / subset).mkdir(parents=True)
        for file in part:
            shutil.copyfile(file, out / 'images' / subset / file.name)
        chosen = {file.name: sizes[file.name] for file in part}
        counts[subset] = (len(chosen), write_coco(out, subset, chosen, kept, classes))
    return counts, problems


def _check_arguments(out: Path, val_share: float, first_pixel: int) -> None:
    if not 0 < val_share < 1:
        raise ValueError(f'val_share={val_share} must lie between 0 and 1')
    if first_pixel not in (0, 1):
        raise ValueError(f'first_pixel={first_pixel} must be 0 or 1')
    if any((out / folder).exists() for folder in ('images', 'annotations')):
        raise FileExistsError(f'{out} holds data already: choose another folder or delete it')


def split(files: Sequence[Path], val_share: float, seed: int) -> dict[str, list[Path]]:
    """Files that validate, at least one and never all, and files that train, each sorted."""
    shuffled = list(files)
    random.Random(seed).shuffle(shuffled)
    held_out = min(max(1, round(len(files) * val_share)), len(files) - 1)
    return {'val': sorted(shuffled[:held_out]), 'train': sorted(shuffled[held_out:])}


def find_images(folder: Path) -> list[Path]:
    """The images of a folder.

    Raises:
        DataError: no such folder, fewer than two images, an image cannot be read, or two images
            share a name but for the suffix.
    """
    if not folder.is_dir():
        raise DataError([f'{folder}: no such folder'])
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if len(files) < 2:
        known = ', '.join(IMAGE_SUFFIXES)
        raise DataError([f'{folder}: {len(files)} images found, at least 2 needed ({known})'])
    problems = [problem for file in files if (problem := picture_problem(file))]
    stems: dict[str, Path] = {}
    for file in files:
        if stems.setdefault(file.stem, file) is not file:
            problems.append(f'{file}: shares its name with {stems[file.stem].name}')
    if problems:
        raise DataError(problems)
    return files


def sort_out(
    found: Sequence[Annotation | str],
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str],
) -> tuple[list[Annotation], list[str]]:
    """The annotations that can be used, inside their images, and one line for each other."""
    kept, problems = [], []
    for item in found:
        problem = item
        if isinstance(item, Annotation):
            problem = annotation_problem(item, sizes[item.image], classes)
        if problem is None:
            kept.append(clipped(item, sizes[item.image]))
        else:
            problems.append(problem)
    return kept, problems


def write_coco(
    out: Path,
    subset: str,
    sizes: Mapping[str, tuple[int, int]],
    items: Sequence[Annotation],
    classes: Sequence[str],
) -> int:
    """Write annotations/SUBSET.json for the images in `sizes`; how many objects they show."""
    numbers = {name: number for number, name in enumerate(sizes, 1)}
    category = {name: number for number, name in enumerate(classes, 1)}
    records = []
    for item in items:
        if item.image not in numbers:
            continue
        left, top, right, bottom = item.box
        width, height = right - left, bottom - top
        records.append(
            {
                'id': len(records) + 1,
                'image_id': numbers[item.image],
                'category_id': category[item.label],
                'bbox': [left, top, width, height],
                'area': width * height if item.area is None else item.area,
                'segmentation': [] if item.mask is None else item.mask,
                'iscrowd': 0,
            }
        )
    pictures = [
        {'id': number, 'file_name': name, 'width': sizes[name][0], 'height': sizes[name][1]}
        for name, number in numbers.items()
    ]
    content = {
        'images': pictures,
        'annotations': records,
        'categories': [{'id': number, 'name': name} for name, number in category.items()],
    }
    file = out / 'annotations' / f'{subset}.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content) + '\n')
    return len(records)


def write_sample(name: str, out: str | Path) -> Path:
    """Write a bundled data set, split as samples/splits.json says, to `out`; `out`.

    Raises:
        ValueError: `name` has no detection data; lists what has.
    """
    if name not in SAMPLES:
        raise ValueError(f'name={name!r} is not a detection sample; known: {", ".join(SAMPLES)}')
    out = Path(out)
    for subset in SUBSETS:
        (out / 'images' / subset).mkdir(parents=True, exist_ok=True)
        SAMPLES[name](out, subset)
    return out


def _write_nuclei(out: Path, subset: str) -> None:
    split = samples.splits()['nuclei']
    with Image.open(samples.path(split['image'])) as picture:
        image = picture.copy()
    with Image.open(samples.path(split['instances'])) as picture:
        values = np.array(picture)
    sizes, found = {}, []
    for left, top, right, bottom in split[subset]['boxes_xyxy']:
        file = f'nuclei_x{left}_y{top}.png'
        image.crop((left, top, right, bottom)).save(out / 'images' / subset / file)
        sizes[file] = (right - left, bottom - top)
        part = values[top:bottom, left:right]
        found += instances(part, file, 'nucleus', split['instances'], SLIVER)
    kept = [item for item in found if isinstance(item, Annotation)]
    write_coco(out, subset, sizes, kept, ('nucleus',))


def _write_trees(out: Path, subset: str) -> None:
    split = samples.splits()['trees']
    table = samples.path(split['boxes'])
    sizes, kept = {}, []
    for path, half in split[subset].items():
        with Image.open(samples.path(path)) as image:
            width, height = image.size
            middle = width // 2
            low, high = (0, middle) if half == 'left half' else (middle, width)
            file = f'{Path(path).stem}_{subset}.png'
            image.crop((low, 0, high, height)).save(out / 'images' / subset / file)
        sizes[file] = (high - low, height)
        for item in _boxes_of(table, Path(path).name):
            left, top, right, bottom = item.box
            on_left = min(right, middle) - left >= (right - left) / 2
            if on_left == (half == 'left half'):
                box = (left - low, top, right - low, bottom)
                moved = replace(item, image=file, label='tree', box=box)
                kept.append(clipped(moved, sizes[file]))
    write_coco(out, subset, sizes, kept, split['classes'])


def _boxes_of(table: Path, name: str) -> Iterator[Annotation]:
    """The boxes of one image in a table that holds several."""
    with table.open(newline='') as stream:
        names = {row['image'] for row in csv.DictReader(stream)}
    for item in read_csv(table, sorted(names)):
        if isinstance(item, Annotation) and item.image == name:
            yield item


SAMPLES = {'nuclei_instances': _write_nuclei, 'trees': _write_trees}


def _read(
    labels: Path,
    sizes: Mapping[str, tuple[int, int]],
    form: str,
    classes: Sequence[str],
    *,
    first_pixel: int,
    min_area: int,
) -> Iterator[Annotation | str]:
    if form not in FORMATS:
        raise ValueError(f'form={form!r} must be one of {", ".join(FORMATS)}')
    if form == 'csv':
        if not labels.is_file():
            raise DataError([f'{labels}: no such file'])
        return read_csv(labels, list(sizes), first_pixel)
    if not labels.is_dir():
        raise DataError([f'{labels}: no such folder'])
    if form == 'yolo':
        return read_yolo(labels, sizes, classes)
    if form == 'voc':
        return read_voc(labels, sizes, first_pixel)
    if len(classes) != 1:
        raise ValueError(f"form='instances' has one class; {len(classes)} are given")
    return read_instances(labels, sizes, classes[0], min_area)


def _size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size
