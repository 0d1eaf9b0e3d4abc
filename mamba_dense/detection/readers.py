"""Readers of what users bring: YOLO labels, a CSV of boxes, Pascal VOC XML, instance labels.

Each yields an `Annotation` for an object and a text, with file and line, for what it cannot read.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from pycocotools import mask as run_lengths

from mamba_dense.detection.annotations import Annotation
from mamba_dense.engine.files import image_problem, read_mask

_CSV_COLUMNS = {
    'image': ('image', 'image_path', 'filename', 'file'),
    'left': ('xmin', 'x1', 'left'),
    'top': ('ymin', 'y1', 'top'),
    'right': ('xmax', 'x2', 'right'),
    'bottom': ('ymax', 'y2', 'bottom'),
    'label': ('label', 'class', 'name'),
}
Found = Iterator[Annotation | str]


def read_yolo(labels: Path, sizes: Mapping[str, tuple[int, int]], classes: Sequence[str]) -> Found:
    """`NAME.txt` for each image: class number, then centre and size of the box, or a polygon.

    All coordinates are shares of the image's width and height. An image without a file has no
    object.

    Args:
        labels: folder of text files.
        sizes: (width, height) by the images' file names.
        classes: names, in the order of their numbers.
    """
    by_stem = {Path(name).stem: name for name in sizes}
    for file in sorted(labels.glob('*.txt')):
        name = by_stem.get(file.stem)
        if name is None:
            if file.name != 'classes.txt':
                yield f'{file}: no image of this name'
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.strip():
                yield _yolo_line(line.split(), f'{file}:{number}', name, sizes[name], classes)


def _yolo_line(
    words: list[str], source: str, name: str, size: tuple[int, int], classes: Sequence[str]
) -> Annotation | str:
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        return (
            f'{source}: {len(words)} columns; allowed: 5 (class, x, y, width, height), or a class '
            'and a polygon of at least 3 points'
        )
    try:
        index, values = int(words[0]), np.array(words[1:], float)
    except ValueError:
        return f'{source}: {" ".join(words)!r} is not a class number and shares of the image'
    if not 0 <= index < len(classes):
        return f'{source}: class {index} is unknown; known: 0 to {len(classes) - 1}'
    scaled = values.reshape(-1, 2) * size  # (2 or points, 2)
    if len(words) == 5:
        low, high = scaled[0] - scaled[1] / 2, scaled[0] + scaled[1] / 2
        return Annotation(name, classes[index], _box(low, high), source)
    box = _box(scaled.min(axis=0), scaled.max(axis=0))
    polygon = np.clip(scaled, 0, size).round(2)
    area = _polygon_area(polygon)
    if area <= 0:
        return f'{source}: the polygon is degenerate: it encloses nothing'
    return Annotation(name, classes[index], box, source, [polygon.ravel().tolist()], area)


def _box(low: np.ndarray, high: np.ndarray) -> tuple[float, float, float, float]:
    return tuple(round(float(value), 3) for value in (*low, *high))


def _polygon_area(points: np.ndarray) -> float:
    x, y = points.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def read_csv(file: Path, names: Sequence[str], first_pixel: int = 0) -> Found:
    """One line for each box: image, xmin, ymin, xmax, ymax, label, in any order, with a header.

    Args:
        file: the table.
        names: file names of the images.
        first_pixel: see `read_voc`.
    """
    with file.open(newline='', encoding='utf-8-sig') as stream:
        rows = csv.DictReader(stream)
        header = [(name or '').strip() for name in rows.fieldnames or ()]
        rows.fieldnames = header
        column = {
            key: next((name for name in known if name in header), None)
            for key, known in _CSV_COLUMNS.items()
        }
        lacking = [_CSV_COLUMNS[key][0] for key, name in column.items() if name is None]
        if lacking:
            yield f'{file}:1: no column {", ".join(lacking)}; the header is {", ".join(header)}'
            return
        for row in rows:
            source = f'{file}:{rows.line_num}'
            values = [row[column[key]] for key in ('left', 'top', 'right', 'bottom')]
            name = Path(row[column['image']] or '').name
            if name not in names:
                yield f'{source}: there is no image {row[column["image"]]!r}'
            else:
                yield _corners(values, name, row[column['label']] or '', source, first_pixel)


def _corners(
    values: Sequence[str | None], name: str, label: str, source: str, first_pixel: int
) -> Annotation | str:
    try:
        left, top, right, bottom = (float(value) for value in values)
    except (TypeError, ValueError):
        return f'{source}: {values} are not four numbers'
    box = (left - first_pixel, top - first_pixel, right, bottom)
    return Annotation(name, label.strip(), box, source)


def read_voc(folder: Path, sizes: Mapping[str, tuple[int, int]], first_pixel: int = 0) -> Found:
    """`NAME.xml` for each image, of Pascal VOC's kind.

    Args:
        folder: folder of XML files.
        sizes: (width, height) by the images' file names.
        first_pixel: 0 where coordinates are edges counted from 0, as most programs write them; 1
            where the first pixel is 1 and xmax is the last pixel inside, as in Pascal VOC itself.
    """
    by_stem = {Path(name).stem: name for name in sizes}
    for file in sorted(folder.glob('*.xml')):
        name = by_stem.get(file.stem)
        if name is None:
            yield f'{file}: no image of this name'
            continue
        try:
            lines = _object_lines(file)
            objects = ElementTree.parse(file).getroot().iter('object')
        except (expat.ExpatError, ElementTree.ParseError) as error:
            yield f'{file}: not readable as XML ({error})'
            continue
        for line, item in zip(lines, objects, strict=True):
            values = [item.findtext(f'bndbox/{key}') for key in ('xmin', 'ymin', 'xmax', 'ymax')]
            yield _corners(values, name, item.findtext('name') or '', f'{file}:{line}', first_pixel)


def _object_lines(file: Path) -> list[int]:
    """The line at which each `object` element starts, in the order of the document."""
    lines = []
    parser = expat.ParserCreate()

    def start(tag: str, _attributes: dict) -> None:
        if tag == 'object':
            lines.append(parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.Parse(file.read_bytes(), True)
    return lines


def read_instances(
    labels: Path, sizes: Mapping[str, tuple[int, int]], label: str, min_area: int = 1
) -> Found:
    """`NAME.png` (or .tif) for each image: 0 is background, every other value one object.

    Args:
        labels: folder of label images of one channel, 8, 16 or 32 bits.
        sizes: (width, height) by the images' file names.
        label: the class of all objects.
        min_area: objects of fewer pixels are degenerate.
    """
    by_stem = {file.stem: file for file in sorted(labels.iterdir()) if file.is_file()}
    for name, size in sizes.items():
        file = by_stem.get(Path(name).stem)
        problem = f'{labels}: no label image for {name}' if file is None else image_problem(file)
        if problem is None:
            values = read_mask(file)
            if values.ndim != 2:
                problem = f'{file}: {values.shape[2]} channels; a label image has one'
            elif values.shape != size[::-1]:
                by = f'{values.shape[1]}x{values.shape[0]}'
                problem = f'{file}: labels of {by} for an image of {size[0]}x{size[1]} ({name})'
        if problem is None:
            yield from instances(values, name, label, str(file), min_area)
        else:
            yield problem


def instances(values: np.ndarray, name: str, label: str, source: str, min_area: int = 1) -> Found:
    """The objects of a label image `values` (H, W), or what is degenerate among them."""
    for value in np.unique(values):
        if value == 0:
            continue
        mask = values == value
        where = f'{source}: object {value}'
        if (area := int(mask.sum())) < min_area:
            yield f'{where} is degenerate: {area} pixel(s), fewer than {min_area}'
            continue
        ys, xs = np.nonzero(mask)
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        coded = run_lengths.encode(np.asfortranarray(mask, np.uint8))
        coded = {'size': list(mask.shape), 'counts': coded['counts'].decode()}
        yield Annotation(name, label, tuple(float(side) for side in box), where, coded, float(area))
