"""Predict volumes: masks in the geometry of the file, montages, and the millilitres of each class.

Memory is bounded: a case takes at most

    4 C (N + M) + 2 N + max(8 V, 4 (C + K + 1) n + 16 v)     bytes,

and what the network takes for a batch of windows (its activations). C channels, K classes, N
voxels of the file, M of the prepared volume, V of the larger of both lengths of each axis, n and v
of the largest box and part (see `volume_parts`); reading takes (4 C + 4 + r) N before that, r bytes
a voxel as stored. Boxes are chosen so that the sum stays below `max_memory`; without it a part
takes no more than half of the memory that is free.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from ..medical.layout import scan_layout
from ..medical.preparation import Preparation
from ..medical.volume import Volume, VolumeError, read_image, reading_bytes, write_labels
from ..weights.save import atomic_write
from .folder import class_name
from .images import ImageError, write_png
from .inferencer import test_dataset
from .memory import free_memory
from .volume_cases import VolumeCase, find_cases
from .volume_drawing import montage
from .volume_parts import held_bytes, plan_parts, predict_parts, prepare_bytes
from .volume_slices import infer_slices

# what a single case may fail with; anything else is a fault of the program
_REFUSALS = (ValueError, MemoryError, RuntimeError, OSError, AssertionError)
OnPart = Callable[[int, int], None]


@dataclass(frozen=True)
class VolumeOptions:
    """How to predict volumes.

    Attributes:
        mirror: average the scores over the mirrored windows, every combination of axes.
        max_memory: bytes that a case may take; None takes half of what is free for the scores.
        axis: of networks of pictures, the axis across the slices; None see `infer_slices`.
        value_range: of networks of pictures, what becomes 0 and 255; None see `infer_slices`.
        opacity: of the tint in the montage.
    """

    mirror: bool = False
    max_memory: float | None = None
    axis: int | None = None
    value_range: tuple[float, float] | None = None
    opacity: float = 0.4


@dataclass(frozen=True)
class VolumePrediction:
    """What a network says of one volume.

    Attributes:
        labels: (X, Y, Z) uint8 class indices, in the file's geometry.
        volume: the image.
        parts: in how many parts it was predicted.
    """

    labels: np.ndarray
    volume: Volume
    parts: int


@dataclass(frozen=True)
class VolumeOutcome:
    """What became of one case.

    Attributes:
        name: of the case.
        rows: (class, voxels, millilitres) of each class but the background.
        error: why it failed, or an empty text.
        parts: in how many parts it was predicted.
    """

    name: str
    rows: tuple[tuple[str, int, float], ...] = ()
    error: str = ''
    parts: int = 0


def infer_volume(
    model: nn.Module,
    paths: str | Path | Sequence[str | Path],
    options: VolumeOptions = VolumeOptions(),
    on_part: OnPart | None = None,
) -> VolumePrediction:
    """Predict one case.

    Args:
        model: from `init_model`: a `VolumeSegmentor`, or a segmentation network of pictures, which
            sees the volume slice by slice.
        paths: a NIfTI file, or one for each channel.
        options: see `VolumeOptions`.
        on_part: called after each part (slice) with how many are done and how many there are.

    Raises:
        VolumeError: a file cannot be used; names it, its value and the way out.
        MemoryError: the case does not fit into `max_memory`, even in the smallest parts.
        ValueError: the config does not say how the network's images are prepared.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    if not paths:
        raise VolumeError('paths is empty: allowed is one file for each channel, at least one.')
    _check_room(paths[0], reading_bytes(paths), _room(options, 0))
    if hasattr(model, 'predict_scores'):
        if options.axis is not None or options.value_range is not None:
            raise ValueError(
                f'axis={options.axis}, value_range={options.value_range}: allowed is None, as they '
                'are of networks of pictures (--axis, --range).'
            )
        return _infer_whole(model, read_image(paths), options, on_part)
    if not hasattr(model, 'decode_head'):
        raise ValueError(
            f'{type(model).__name__} does not take volumes; a VolumeSegmentor and segmentation '
            'networks of pictures do.'
        )
    volume = read_image(paths)
    labels = infer_slices(
        model,
        volume,
        axis=options.axis,
        value_range=options.value_range,
        mirror=options.mirror,
        on_part=on_part,
    )
    return VolumePrediction(labels, volume, 1)


def _infer_whole(
    model: nn.Module, volume: Volume, options: VolumeOptions, on_part: OnPart | None
) -> VolumePrediction:
    preparation = model_preparation(model)
    channels, geometry = len(volume.data), preparation.geometry(volume)
    held, taken = held_bytes(channels, geometry), volume.data.nbytes
    _check_room(volume.path, held - taken + prepare_bytes(geometry), _room(options, taken))
    prepared = preparation.prepare(volume)
    budget = _room(options, held) / (2 if options.max_memory is None else 1)
    try:
        cut = plan_parts(
            geometry, model.patch_size, model.overlap, channels, model.num_classes, budget
        )
    except MemoryError as error:
        raise MemoryError(
            f'{volume.path}: {error}, and {held / 1e9:.3g} GB hold the image; allow more memory '
            '(--max-memory), or use a machine that has it.'
        ) from error
    axes = tuple(range(len(model.patch_size))) if options.mirror else tuple(model.mirror_axes)
    labels = predict_parts(model, prepared, cut, axes, on_part)
    return VolumePrediction(labels, volume, int(np.prod([len(spans) for spans in cut])))


def model_preparation(model: nn.Module) -> Preparation:
    """What the config of a network does to a volume first.

    Raises:
        ValueError: it does not say.
    """
    found = test_dataset(model.cfg).get('preparation')
    if found is None:
        raise ValueError(
            f'{model.cfg.filename}: has no preparation in test_dataloader.dataset, so how to '
            'prepare a volume is not known; add it, such as '
            "preparation=dict(channels=[dict(kind='zscore')])."
        )
    return Preparation(**found)


def predict_volumes(
    model: nn.Module,
    source: str | Path,
    out: str | Path,
    options: VolumeOptions = VolumeOptions(),
    on_part: OnPart | None = None,
) -> Iterator[VolumeOutcome]:
    """Predict every case of `source`, one after the other, whatever the others do.

    Writes `out`/NAME.nii.gz (mask) and `out`/NAME_montage.png, and after the last case
    `out`/volumes.csv (case, class, voxels, millilitres).

    Yields:
        An outcome for each case, a refused one too.

    Raises:
        ImageError: there is no case at all, or results would lie among the images.
        OSError: the results cannot be written; names the file and the way out.
    """
    source, out = Path(source), Path(out)
    if source.is_dir() and source.resolve() == out.resolve():
        raise ImageError(f'out={out} is the folder of the images; give another one (--out).')
    names, outcomes = _names(model), []
    for case in find_cases(source, out):
        target = out / f'{case.name}.nii.gz'
        try:
            done = _predict(model, case, target, options, on_part)
        except _REFUSALS as error:
            text, path = str(error) or type(error).__name__, str(case.paths[0])
            outcome = VolumeOutcome(case.name, error=text if path in text else f'{path}: {text}')
        else:
            outcome = VolumeOutcome(case.name, _rows(names, done), parts=done.parts)
            write_labels(target, done.labels, done.volume)
            palette = model.dataset_meta.get('palette')
            drawn = montage(done.volume, done.labels, _classes(model), palette, options.opacity)
            write_png(out / f'{case.name}_montage.png', drawn)
        outcomes.append(outcome)
        yield outcome
    table = volume_table(outcomes)
    atomic_write(out / 'volumes.csv', lambda part: part.write_text(table))


def _predict(
    model: nn.Module,
    case: VolumeCase,
    target: Path,
    options: VolumeOptions,
    on_part: OnPart | None,
) -> VolumePrediction:
    if case.problem:
        raise VolumeError(case.problem)
    if target.resolve() in [path.resolve() for path in case.paths]:
        raise VolumeError(f'{target}: is the image itself; give another folder (--out).')
    return infer_volume(model, case.paths, options, on_part)


def volume_table(outcomes: Sequence[VolumeOutcome]) -> str:
    """A table of all outcomes, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('case', 'class', 'voxels', 'millilitres'))
    for outcome in outcomes:
        for name, voxels, millilitres in outcome.rows:
            writer.writerow((outcome.name, name, voxels, f'{millilitres:.6g}'))
    return text.getvalue()


def _rows(names: Sequence[str], done: VolumePrediction) -> tuple[tuple[str, int, float], ...]:
    counts = np.zeros(len(names), int)
    for plane in done.labels:
        counts += np.bincount(plane.ravel(), minlength=len(names))
    return tuple(
        (name, int(voxels), int(voxels) * done.volume.millilitres)
        for name, voxels in list(zip(names, counts, strict=True))[1:]
    )


def _names(model: nn.Module) -> tuple[str, ...]:
    """Of the classes, from the config or the dataset.json that it names, else numbers."""
    count = _classes(model)
    root = test_dataset(model.cfg).get('data_root')
    if root is not None and 'classes' not in model.dataset_meta:
        layout = scan_layout(root)[0]
        if layout is not None and len(layout.classes) == count:
            return layout.classes
    return tuple(class_name(model, index) for index in range(count))


def _classes(model: nn.Module) -> int:
    known = getattr(model, 'num_classes', None) or model.decode_head.out_channels
    return max(2, known)


def _room(options: VolumeOptions, taken: float) -> float:
    """Bytes that are left where `taken` are in use."""
    if options.max_memory is not None:
        return options.max_memory - taken
    free = free_memory()
    return math.inf if free is None else free


def _check_room(path: str | Path, need: float, room: float) -> None:
    if need > room:
        raise MemoryError(
            f'{path}: the image alone takes {need / 1e9:.3g} GB more, {max(room, 0) / 1e9:.3g} GB '
            'are left; allow more memory (--max-memory), or use a machine that has it.'
        )
