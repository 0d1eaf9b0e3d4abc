"""Volumes larger than memory: parts whose scores fit, cut so that nothing changes at their borders.

A part of the mask needs the scores around it (the way back resamples), and a score needs every
window that covers it. The box of voxels that holds those windows, laid on the window grid of the
whole volume, is predicted by itself: the windows are the same, their weights are the same, so the
scores inside are those of the whole volume. What it costs are the windows that neighbouring boxes
share.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..medical.preparation import Geometry, Prepared, restore_part
from .memory import give_back


@dataclass(frozen=True)
class Span:
    """One part along one axis.

    Attributes:
        part: voxels of the cropped volume that are decided.
        source: prepared voxels whose scores they need.
        box: prepared voxels that the network is shown.
    """

    part: slice
    source: slice
    box: slice


def held_bytes(channels: int, geometry: Geometry) -> int:
    """Memory of a case from its reading to its mask: 4 C (N + M) + 2 N.

    C channels, N voxels of the file, M of the prepared volume: both images in single precision,
    the mask, and the non-zero voxels while it is prepared.
    """
    voxels = math.prod(geometry.shape)
    return 4 * channels * (voxels + math.prod(geometry.size)) + 2 * voxels


def prepare_bytes(geometry: Geometry) -> int:
    """Memory that resampling takes for a while: 8 V, V the larger of both lengths of each axis."""
    ends = zip(geometry.cropped, geometry.size, strict=True)
    return 8 * math.prod(max(pair) for pair in ends)


def part_bytes(channels: int, classes: int, spans: Sequence[Span]) -> int:
    """Memory that predicting one part takes: 4 (C + K + 1) n + 16 v.

    K classes, n voxels of the box, v of the part (the larger of part and source, axis by axis).
    The scores and the weights of the windows lie in the box, the resampled map of one class and
    the best so far in the part. On top comes what the network takes for a batch of windows: its
    activations, and their logits up to four times.
    """
    box = math.prod(_length(span.box) for span in spans)
    part = math.prod(max(_length(span.part), _length(span.source)) for span in spans)
    return 4 * (channels + classes + 1) * box + 16 * part


def window_starts(length: int, side: int, overlap: float) -> tuple[int, ...]:
    """Where MONAI's sliding windows start along an axis.

    >>> window_starts(10, 4, 0.5), window_starts(3, 4, 0.5)
    ((0, 2, 4, 6), (0,))
    """
    if length <= side:
        return (0,)
    step = max(1, int(side * (1 - overlap)))
    count = math.ceil((length - side) / step) + 1
    return tuple(min(index * step, length - side) for index in range(count))


def plan_parts(
    geometry: Geometry,
    patch_size: Sequence[int],
    overlap: float,
    channels: int,
    classes: int,
    budget: float,
) -> tuple[tuple[Span, ...], ...]:
    """The fewest parts along each axis, the first axis first, of which each fits in `budget` bytes.

    Args:
        geometry: of the prepared volume.
        patch_size: sides of the windows; two sides are those of the planes of the last axes.
        overlap: of the windows, as a share of their sides.
        channels, classes: of the image and of the scores.
        budget: bytes that predicting a part may take, see `part_bytes`.

    Returns:
        The spans of each axis; every combination is a part.

    Raises:
        MemoryError: not even the smallest parts fit; says what they need.
    """
    sides = (1,) * (3 - len(patch_size)) + tuple(patch_size)
    counts = [1, 1, 1]
    cut = [_spans(geometry, axis, 1, sides[axis], overlap) for axis in range(3)]

    def needed() -> int:
        largest = [max(spans, key=lambda span: _length(span.box)) for spans in cut]
        return part_bytes(channels, classes, largest)

    for axis in range(3):
        step = max(1, int(sides[axis] * (1 - overlap)))
        most = min(geometry.cropped[axis], math.ceil(geometry.size[axis] / step))
        while needed() > budget and counts[axis] < most:
            counts[axis] += 1
            cut[axis] = _spans(geometry, axis, counts[axis], sides[axis], overlap)
    if needed() > budget:
        raise MemoryError(
            f'the smallest part that the windows of {tuple(patch_size)} allow takes '
            f'{needed() / 1e9:.3g} GB, {max(budget, 0) / 1e9:.3g} GB are left for it'
        )
    return tuple(cut)


def predict_parts(
    model: nn.Module,
    prepared: Prepared,
    cut: Sequence[Sequence[Span]],
    mirror_axes: Sequence[int] = (),
    on_part: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The mask of a prepared volume, part by part.

    Args:
        model: has `predict_scores(image (C, *S), mirror_axes=)`, which gives logits (K, *S).
        prepared: the volume.
        cut: from `plan_parts`.
        mirror_axes: axes of the window to mirror along, in every combination (mean of logits).
        on_part: called after each part with how many are done and how many there are.

    Returns:
        (X, Y, Z) uint8 in the file's geometry; 0 outside the crop.
    """
    geometry = prepared.geometry
    labels = np.zeros(geometry.shape, np.uint8)
    inside = geometry.cut(labels)
    total = math.prod(len(spans) for spans in cut)
    for done, spans in enumerate(itertools.product(*cut), 1):
        give_back()
        part = tuple(span.part for span in spans)
        inside[part] = _predict_part(model, prepared, spans, mirror_axes)
        if on_part is not None:
            on_part(done, total)
    return labels


def _predict_part(
    model: nn.Module, prepared: Prepared, spans: Sequence[Span], mirror_axes: Sequence[int]
) -> np.ndarray:
    """Classes of one part; a function of its own, so that its scores go before the next come."""
    boxes = tuple(span.box for span in spans)
    image = torch.from_numpy(np.ascontiguousarray(prepared.data[(slice(None), *boxes)]))
    scores = model.predict_scores(image, mirror_axes=mirror_axes)
    if tuple(scores.shape[1:]) != tuple(image.shape[1:]):
        raise RuntimeError(
            f'the network returned scores {tuple(scores.shape[1:])} for a volume of '
            f'{tuple(image.shape[1:])}.'
        )
    within = tuple(
        slice(span.source.start - span.box.start, span.source.stop - span.box.start)
        for span in spans
    )
    part = tuple(span.part for span in spans)
    return restore_part(scores.cpu().numpy()[(slice(None), *within)], prepared.geometry, part)


def _length(span: slice) -> int:
    return span.stop - span.start


def _spans(
    geometry: Geometry, axis: int, count: int, side: int, overlap: float
) -> tuple[Span, ...]:
    """An axis in `count` parts of nearly equal length."""
    length, size = geometry.cropped[axis], geometry.size[axis]
    starts = window_starts(size, side, overlap)
    edges = [index * length // count for index in range(count + 1)]
    spans = []
    for low, high in itertools.pairwise(edges):
        part = slice(low, high)
        source = geometry.source_along(axis, part)
        first = next(start for start in starts if start + side > source.start)
        last = max(start for start in starts if start < source.stop)
        spans.append(Span(part, source, slice(first, min(last + side, size))))
    return tuple(spans)
