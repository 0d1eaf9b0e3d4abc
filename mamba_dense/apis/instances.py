"""What a detector finds: boxes, scores and masks, as arrays, as JSON and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch import Tensor, nn

from .drawing import overlay


@dataclass(frozen=True)
class Instances:
    """What a detector says of one picture, best first.

    Attributes:
        boxes: (objects, 4) float32, left, top, right, bottom in pixels of the picture.
        labels: (objects,) class indices.
        scores: (objects,) float32.
        masks: (objects, H, W) bool, or None where the network gives boxes alone.
        size: (H, W) of the picture.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None
    size: tuple[int, int]

    def above(self, score: float) -> 'Instances':
        """The objects of at least this score."""
        kept = self.scores >= score
        masks = None if self.masks is None else self.masks[kept]
        return Instances(self.boxes[kept], self.labels[kept], self.scores[kept], masks, self.size)

    def covered(self, label: int | None = None) -> np.ndarray:
        """Pixels (H, W) bool inside some mask, or box, of a class or of all."""
        found = np.zeros(self.size, bool)
        for number in range(len(self.labels)):
            if label is None or self.labels[number] == label:
                self._paint(found, number, True)
        return found

    def _paint(self, canvas: np.ndarray, number: int, value: int) -> None:
        if self.masks is not None:
            canvas[self.masks[number]] = value
            return
        left, top, right, bottom = np.rint(self.boxes[number]).astype(int)
        canvas[max(top, 0) : bottom, max(left, 0) : right] = value


def is_detector(model: nn.Module) -> bool:
    """Whether a network finds objects, as mmdet's do."""
    return hasattr(model, 'roi_head') or hasattr(model, 'bbox_head')


def from_sample(found: Any, size: tuple[int, int]) -> Instances:
    """mmdet's `pred_instances` of a picture of `size` (H, W), best first."""
    order = np.argsort(-_array(found.scores), kind='stable')
    masks = found.get('masks')
    return Instances(
        _array(found.bboxes).reshape(-1, 4)[order].astype(np.float32),
        _array(found.labels)[order].astype(np.int64),
        _array(found.scores)[order].astype(np.float32),
        None if masks is None else _array(masks).reshape(-1, *size)[order].astype(bool),
        size,
    )


def as_records(found: Instances, names: Sequence[str]) -> list[dict[str, Any]]:
    """One JSON record for each object: class, score, box and, where there is one, COCO mask."""
    records = []
    for number, label in enumerate(found.labels):
        record = {
            'class': names[label],
            'score': round(float(found.scores[number]), 4),
            'box': [round(float(side), 2) for side in found.boxes[number]],
        }
        if found.masks is not None:
            record['mask'] = run_lengths(found.masks[number])
        records.append(record)
    return records


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """A mask (H, W) bool in COCO's uncompressed run lengths, column by column.

    >>> run_lengths(np.array([[0, 1], [1, 1]], bool))
    {'size': [2, 2], 'counts': [1, 3]}
    """
    pixels = mask.ravel(order='F')
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate(([0], changes, [pixels.size]))
    counts = np.diff(starts).tolist()
    return {'size': list(mask.shape), 'counts': [0, *counts] if pixels[0] else counts}


def draw(
    image: np.ndarray, found: Instances, colours: np.ndarray, opacity: float = 0.4
) -> np.ndarray:
    """The picture under its objects: masks tinted and outlined, best on top, or boxes outlined.

    Args:
        image: (H, W, 3) or (H, W, 1) uint8; may be a whole fraction of the objects' size.
        found: the objects.
        colours: (classes, 3) uint8.
        opacity: share of the colour inside a mask.

    Returns:
        (H, W, 3) uint8.
    """
    step = -(-found.size[0] // image.shape[0])
    picture = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    if found.masks is not None:
        objects = np.zeros(image.shape[:2], np.int64)
        for number in reversed(range(len(found.labels))):
            objects[found.masks[number][::step, ::step]] = number + 1
        table = np.concatenate((np.zeros((1, 3), np.uint8), colours[found.labels]))
        return overlay(picture, objects, table, opacity)
    picture = picture.copy()
    width = max(1, min(image.shape[:2]) // 250)
    for number in reversed(range(len(found.labels))):
        left, top, right, bottom = (round(float(side) / step) for side in found.boxes[number])
        colour = tuple(int(value) for value in colours[found.labels[number]])
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, width)
    return picture


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
