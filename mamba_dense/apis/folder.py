"""Predict a picture or a folder of them: masks, overlays and a table on the disk."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from ..weights.save import atomic_write
from .drawing import class_colours, overlay
from .images import check_image, find_images, read_image, to_bytes, write_png
from .inferencer import Label, Prediction, infer, input_channels
from .instances import Instances, as_records, draw, is_detector

# larger pictures are drawn at a whole fraction of their size
_DRAWN_PIXELS = 16_000_000
# what a single picture may fail with (mmseg's networks refuse sizes by assertions); anything else
# is a fault of the program
_REFUSALS = (ValueError, MemoryError, RuntimeError, OSError, AssertionError)


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        path: the picture.
        rows: (class, share of the picture or probability, mean confidence), largest share first.
        error: why it failed, or an empty text.
        objects: how many objects a detector found, else None.
    """

    path: Path
    rows: tuple[tuple[str, float, float], ...] = ()
    error: str = ''
    objects: int | None = None


@dataclass(frozen=True)
class Options:
    """How to predict, as in `infer`; objects of less than `score` are left out."""

    value_range: tuple[float, float] | None = None
    tile: int | None = None
    overlap: int | None = None
    opacity: float = 0.4
    score: float = 0.3
    mirror: bool = False


def predict_folder(
    model: nn.Module,
    source: str | Path,
    out: str | Path,
    options: Options,
    on_tile: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Predict every picture of `source`, one after the other, whatever the others do.

    Writes `out`/masks (class indices) and `out`/overlays, by the pictures' names, and after the
    last one `out`/summary.csv. A detector gives `out`/objects (JSON) instead of masks, a classifier
    the table alone.

    Yields:
        An outcome for each picture, a refused one too.

    Raises:
        ImageError: there is no picture at all.
        OSError: the results cannot be written; names the file and the way out.
    """
    paths = find_images(source, out)
    names = result_names(paths, Path(source))
    outcomes = []
    for path, name in zip(paths, names, strict=True):
        try:
            pixels, result = _predict(model, path, options, on_tile)
        except _REFUSALS as error:
            text = str(error)
            outcome = Outcome(path, error=text if str(path) in text else f'{path}: {text}')
        else:
            outcome = Outcome(path, _rows(model, result))
            if isinstance(result, Instances):
                outcome = replace(outcome, objects=len(result.labels))
                _write_objects(Path(out) / 'objects' / f'{name}.json', model, result)
                write_png(Path(out) / 'overlays' / name, _drawn(model, pixels, result, options))
            if isinstance(result, Prediction):
                write_png(Path(out) / 'masks' / name, result.mask)
                write_png(Path(out) / 'overlays' / name, _drawn(model, pixels, result, options))
        outcomes.append(outcome)
        yield outcome
    table = summary(outcomes)
    atomic_write(Path(out) / 'summary.csv', lambda part: part.write_text(table))


def _predict(
    model: nn.Module,
    path: Path,
    options: Options,
    on_tile: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, Prediction | Instances | Label]:
    pixels = read_image(path, input_channels(model))
    limits = check_image(pixels, options.value_range, str(path))
    result = infer(
        model,
        pixels,
        value_range=limits,
        tile=options.tile,
        overlap=options.overlap,
        mirror=options.mirror,
        on_tile=on_tile,
    )
    if isinstance(result, Instances):
        result = result.above(options.score)
    return pixels, result


def _write_objects(path: Path, model: nn.Module, result: Instances) -> None:
    names = [class_name(model, index) for index in range(_classes(model))]
    content = {
        'width': result.size[1],
        'height': result.size[0],
        'objects': as_records(result, names),
    }
    atomic_write(path, lambda part: part.write_text(json.dumps(content) + '\n'))


def _drawn(
    model: nn.Module, pixels: np.ndarray, result: Prediction | Instances, options: Options
) -> np.ndarray:
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / _DRAWN_PIXELS))
    limits = check_image(pixels, options.value_range)
    small = pixels[::step, ::step]
    channels = 3 if small.ndim == 2 or small.shape[2] in (1, 3, 4) else small.shape[2]
    image = to_bytes(small, channels, limits)
    colours = class_colours(_classes(model), model.dataset_meta.get('palette'))
    if isinstance(result, Instances):
        return draw(image[:, :, :3], result, colours, options.opacity)
    return overlay(image[:, :, :3], result.mask[::step, ::step], colours, options.opacity)


def _classes(model: nn.Module) -> int:
    if is_detector(model):
        head = model.roi_head.bbox_head if hasattr(model, 'roi_head') else model.bbox_head
        return (head[-1] if isinstance(head, nn.ModuleList) else head).num_classes
    return max(2, model.decode_head.out_channels)


def class_name(model: nn.Module, index: int) -> str:
    """Name of a class where the config's data set states it, else its number."""
    names = model.dataset_meta.get('classes') or ()
    return str(names[index]) if index < len(names) else f'class {index}'


def _rows(
    model: nn.Module, result: Prediction | Instances | Label
) -> tuple[tuple[str, float, float], ...]:
    if isinstance(result, Label):
        score = float(result.scores[result.index])
        return ((class_name(model, result.index), score, score),)
    if isinstance(result, Instances):
        found = [
            (
                class_name(model, int(label)),
                float(result.covered(label).mean()),
                float(result.scores[result.labels == label].mean()),
            )
            for label in np.unique(result.labels)
        ]
        return tuple(sorted(found, key=lambda row: -row[1]))
    count = np.bincount(result.mask.ravel())
    trust = np.bincount(result.mask.ravel(), result.confidence.ravel())
    order = [int(i) for i in np.argsort(-count, kind='stable') if count[i]]
    return tuple(
        (class_name(model, i), count[i] / result.mask.size, trust[i] / count[i]) for i in order
    )


def result_names(paths: Sequence[Path], source: Path) -> list[str]:
    """File names of the results: the pictures' own below `source`, as PNG, none twice.

    >>> result_names([Path('in/a.jpg'), Path('in/a.tif'), Path('in/sub/b.png')], Path('in'))
    ['a.jpg.png', 'a.tif.png', 'sub/b.png']
    """
    inner = [path.relative_to(source) if path != source else Path(path.name) for path in paths]
    stems = Counter(name.with_suffix('') for name in inner)
    return [
        (
            name.with_suffix('.png')
            if stems[name.with_suffix('')] == 1
            else name.with_name(f'{name.name}.png')
        ).as_posix()
        for name in inner
    ]


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table of all outcomes, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('picture', 'class', 'share', 'confidence', 'error'))
    for outcome in outcomes:
        for name, share, confidence in outcome.rows:
            writer.writerow((outcome.path, name, f'{share:.4f}', f'{confidence:.4f}', ''))
        if outcome.error:
            writer.writerow((outcome.path, '', '', '', outcome.error))
    return text.getvalue()
