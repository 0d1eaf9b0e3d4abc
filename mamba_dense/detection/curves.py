"""What a detector's scores are made of: precision-recall curves and the confusion matrix."""

import csv
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from pycocotools import mask as coco_masks

from mamba_dense.weights.save import atomic_write

IOUS = (0.5, 0.75)
BACKGROUND = 'background'
CURVES, CONFUSION = 'precision_recall.csv', 'confusion.csv'


def results(truth: COCO, found: Sequence[dict]) -> COCO:
    """Detections as COCO records beside the labelled objects; there may be none."""
    if found:
        with redirect_stdout(io.StringIO()):
            return truth.loadRes(list(found))
    empty = COCO()
    empty.dataset = {**truth.dataset, 'annotations': []}
    with redirect_stdout(io.StringIO()):
        empty.createIndex()
    return empty


def precision_recall(
    truth: COCO,
    found: COCO,
    kind: str,
    cat_ids: Sequence[int],
    img_ids: Sequence[int],
    most: int,
) -> list[dict[str, float | str]]:
    """Points of the curves, as COCO's evaluation interpolates them at 101 recalls.

    Args:
        truth: the labelled objects.
        found: the detections.
        kind: 'bbox' or 'segm'.
        cat_ids: the classes.
        img_ids: the images.
        most: detections of an image that count.

    Returns:
        For each class that has objects and each of `IOUS`, 101 rows: class, iou, recall, precision
        and the score of the detection that reaches the recall (0 beyond the last one).
    """
    evaluated = COCOeval(truth, found, kind)
    evaluated.params.catIds, evaluated.params.imgIds = list(cat_ids), list(img_ids)
    evaluated.params.iouThrs, evaluated.params.maxDets = np.array(IOUS), [most]
    evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ['all']
    with redirect_stdout(io.StringIO()):
        evaluated.evaluate()
        evaluated.accumulate()
    # both: ious, recalls, classes
    precision, score = (evaluated.eval[name][:, :, :, 0, 0] for name in ('precision', 'scores'))
    rows = []
    for number, cat_id in enumerate(evaluated.params.catIds):
        for level, iou in enumerate(IOUS):
            if precision[level, 0, number] < 0:  # COCO's mark of a class without objects
                continue
            rows += [
                {
                    'class': truth.cats[cat_id]['name'],
                    'iou': iou,
                    'recall': round(float(recall), 2),
                    'precision': round(float(precision[level, point, number]), 4),
                    'score': round(float(score[level, point, number]), 4),
                }
                for point, recall in enumerate(evaluated.params.recThrs)
            ]
    return rows


def confusion(
    truth: COCO,
    found: COCO,
    kind: str,
    cat_ids: Sequence[int],
    img_ids: Sequence[int],
    *,
    score: float,
    iou: float,
) -> np.ndarray:
    """How often objects of one class are found as another, missed, or made up.

    In each image the detections of at least `score` choose one after the other, best first: each
    takes the object left that it overlaps most, whatever its class, if their IoU is at least `iou`.
    A detection that is left with a crowd region alone is not counted.

    Returns:
        (K + 1, K + 1) counts: rows are true classes in the order of `cat_ids` and background,
        columns what they were found as; [i, K] were missed, [K, j] are made up.
    """
    place = {cat_id: number for number, cat_id in enumerate(cat_ids)}
    background = len(place)
    counts = np.zeros((background + 1, background + 1), np.int64)
    for img_id in img_ids:
        objects, guesses = (
            coco.loadAnns(coco.getAnnIds(imgIds=[img_id], catIds=list(cat_ids)))
            for coco in (truth, found)
        )
        guesses = sorted((g for g in guesses if g['score'] >= score), key=lambda g: -g['score'])
        crowd = np.array([bool(item.get('iscrowd')) for item in objects], bool)
        overlaps = _overlaps(truth, found, kind, objects, guesses, crowd)  # (guesses, objects)
        left = ~crowd
        for guess, shared in zip(guesses, overlaps, strict=True):
            near = (shared >= iou) & left
            if near.any():
                taken = int(np.where(near, shared, -1).argmax())
                left[taken] = False
                counts[place[objects[taken]['category_id']], place[guess['category_id']]] += 1
            elif not ((shared >= iou) & crowd).any():
                counts[background, place[guess['category_id']]] += 1
        for number in np.flatnonzero(left):
            counts[place[objects[number]['category_id']], background] += 1
    return counts


def _overlaps(
    truth: COCO,
    found: COCO,
    kind: str,
    objects: Sequence[dict],
    guesses: Sequence[dict],
    crowd: np.ndarray,
) -> np.ndarray:
    if not objects or not guesses:
        return np.zeros((len(guesses), len(objects)))
    if kind == 'bbox':
        shapes = [[item['bbox'] for item in items] for items in (guesses, objects)]
    else:
        shapes = [
            [coco.annToRLE(item) for item in items]
            for coco, items in ((found, guesses), (truth, objects))
        ]
    return np.asarray(coco_masks.iou(*shapes, crowd.astype(np.uint8).tolist()))


def write_curves(path: Path, rows: Sequence[dict[str, float | str]]) -> None:
    """Rows of `precision_recall` as a CSV file."""
    heads = ('class', 'iou', 'recall', 'precision', 'score')
    _write(path, [heads, *(tuple(row[head] for head in heads) for row in rows)])


def write_confusion(
    path: Path, counts: np.ndarray, names: Sequence[str], *, score: float, iou: float
) -> None:
    """A confusion matrix as a CSV file: a row for each true class, a column for each found one.

    The first cell says what was counted: 'true class; score at least 0.3, IoU at least 0.5'.
    """
    corner = f'true class; score at least {score:g}, IoU at least {iou:g}'
    heads = (*names, BACKGROUND)
    rows = [(name, *line) for name, line in zip(heads, counts.tolist(), strict=True)]
    _write(path, [(corner, *heads), *rows])


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    atomic_write(path, lambda part: part.write_text(text.getvalue()))
