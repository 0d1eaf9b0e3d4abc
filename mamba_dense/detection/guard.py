"""Checks of COCO data before a training: mmdet leaves out in silence what it cannot use."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mamba_dense.detection.annotations import Annotation, annotation_problem
from mamba_dense.engine.files import DataError, picture_problem

LOADERS = ('train_dataloader', 'val_dataloader')
FULL = 50  # so many images of a subset are opened before the start
_PREPARE = {
    f'data/{name}': f'python tools/prepare_data.py samples --name {name} --out data/{name}'
    for name in ('nuclei_instances', 'trees')
}


def guard(cfg: Config, keys: Sequence[str] = LOADERS) -> None:
    """Check the files and classes of `cfg`'s loaders `keys`.

    Raises:
        DataError: lists every problem found; nothing has been trained.
    """
    problems = list(config_problems(cfg, keys))
    if problems:
        raise DataError(problems)


def config_problems(
    cfg: Config, keys: Sequence[str] = LOADERS, full: int = FULL, boxes: bool = False
) -> Iterator[str]:
    """One line for each problem in the data of a config; data other than COCO's is not looked at.

    Args:
        cfg: the config.
        keys: its loaders.
        full: at most so many images of a subset are opened.
        boxes: look at every box, too.
    """
    numbers = set(_class_counts(cfg.model))
    for key in keys:
        dataset = _leaf(cfg[key].dataset) if cfg.get(key) is not None else {}
        if dataset.get('type') not in ('CocoDataset', 'mmdet.CocoDataset'):
            continue
        root = Path(dataset.get('data_root') or '')
        file = root / dataset['ann_file']
        classes = dict(dataset.get('metainfo') or {}).get('classes')
        if classes is not None and numbers and numbers != {len(classes)}:
            yield (
                f'{key}: {len(classes)} classes ({", ".join(classes)}); num_classes of the heads '
                f'is {", ".join(map(str, sorted(numbers)))}'
            )
        if not file.is_file():
            hint = _PREPARE.get(root.as_posix())
            yield f'{file}: does not exist' + (f'; write it by: {hint}' if hint else '')
            continue
        yield from coco_problems(file, root / dataset['data_prefix']['img'], classes, full, boxes)


def folder_problems(root: str | Path) -> Iterator[str]:
    """One line for each problem in a folder that `prepare.write_folder` wrote."""
    for subset in ('train', 'val'):
        file = Path(root) / 'annotations' / f'{subset}.json'
        if file.is_file():
            yield from coco_problems(file, Path(root) / 'images' / subset, boxes=True)
        else:
            yield f'{file}: does not exist'


def coco_problems(
    file: Path,
    images: Path,
    classes: Sequence[str] | None = None,
    full: int = FULL,
    boxes: bool = False,
) -> Iterator[str]:
    """One line for each problem in a COCO file and its images.

    Args:
        file: the JSON file.
        images: folder of its images.
        classes: names that it must hold; None takes its own.
        full: at most so many images are opened.
        boxes: look at every box, too.
    """
    try:
        content = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        yield f'{file}: not readable as JSON ({error})'
        return
    lacking = [key for key in ('images', 'annotations', 'categories') if key not in content]
    if lacking:
        yield f'{file}: has no {", ".join(lacking)}'
        return
    names = {entry['id']: entry['name'] for entry in content['categories']}
    unknown = sorted(set(classes or ()) - set(names.values()))
    if unknown:
        yield f'{file}: no category {", ".join(unknown)}; it has {", ".join(names.values())}'
    if not content['annotations']:
        yield f'{file}: no annotations'
    chosen = np.linspace(0, len(content['images']) - 1, min(len(content['images']), full))
    for number in chosen.astype(int):
        problem = picture_problem(images / content['images'][number]['file_name'])
        if problem:
            yield problem
    if boxes:
        yield from _box_problems(file, content, names)


def _box_problems(file: Path, content: dict, names: dict[int, str]) -> Iterator[str]:
    pictures = {image['id']: image for image in content['images']}
    for item in content['annotations']:
        source = f'{file}: annotation {item["id"]}'
        picture = pictures.get(item['image_id'])
        if picture is None:
            yield f'{source}: there is no image {item["image_id"]}'
            continue
        left, top, width, height = item['bbox']
        label = names.get(item['category_id'], str(item['category_id']))
        box = (left, top, left + width, top + height)
        record = Annotation(picture['file_name'], label, box, source)
        size = (picture['width'], picture['height'])
        problem = annotation_problem(record, size, list(names.values()))
        if problem:
            yield problem


def _class_counts(node: object) -> Iterator[int]:
    """The `num_classes` of every head in a model's config."""
    if isinstance(node, dict):
        if 'num_classes' in node:
            yield node['num_classes']
        for value in node.values():
            yield from _class_counts(value)


def _leaf(dataset: dict) -> dict:
    """The dataset inside wrappers such as RepeatDataset."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
