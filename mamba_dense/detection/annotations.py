"""Boxes and masks as users bring them: one record each, with the file and line it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

# coordinates rounded in text files may overhang by a fraction of a pixel
_OVERHANG = 1.0


@dataclass(frozen=True)
class Annotation:
    """One object of one image.

    Attributes:
        image: file name of the image, without folders or, where the format leaves it out, suffix.
        label: name of its class.
        box: left, top, right, bottom in pixels, edges rather than centres of pixels.
        source: file and line, for reports.
        mask: COCO segmentation (run lengths or polygons), or None.
        area: pixels of the mask, or None for the area of the box.
    """

    image: str
    label: str
    box: tuple[float, float, float, float]
    source: str
    mask: Any = None
    area: float | None = None


def annotation_problem(
    item: Annotation, size: tuple[int, int], classes: Sequence[str]
) -> str | None:
    """What is wrong with an annotation in an image of `size` (width, height), or None."""
    left, top, right, bottom = item.box
    shown = f'box {left:g},{top:g} to {right:g},{bottom:g}'
    if item.label not in classes:
        return f'{item.source}: class {item.label!r} is unknown; known: {", ".join(classes)}'
    if not all(abs(value) < float('inf') for value in item.box):
        return f'{item.source}: {shown} is not finite'
    if right - left <= 0 or bottom - top <= 0:
        return f'{item.source}: {shown} is degenerate: {right - left:g} wide, {bottom - top:g} high'
    width, height = size
    over = max(-left, -top, right - width, bottom - height)
    inside = min(right, width) - max(left, 0), min(bottom, height) - max(top, 0)
    if over > _OVERHANG or min(inside) <= 0:
        return f'{item.source}: {shown} lies outside the image of {width}x{height} ({item.image})'
    if min(inside) < 1:
        return f'{item.source}: {shown} is degenerate: less than a pixel inside the image'
    return None


def clipped(item: Annotation, size: tuple[int, int]) -> Annotation:
    """`item` with its box inside an image of `size` (width, height)."""
    left, top, right, bottom = item.box
    box = (max(left, 0.0), max(top, 0.0), min(right, size[0]), min(bottom, size[1]))
    return replace(item, box=box)
