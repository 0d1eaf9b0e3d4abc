"""Checks of the cases of a config before a training, which would fail on them much later."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mamba_dense.engine.files import DataError
from mamba_dense.engine.guards import leaves
from mamba_dense.medical.layout import Case, Layout, scan_layout
from mamba_dense.medical.preparation import Preparation
from mamba_dense.medical.volume_check import Findings, mixed_axes, read_cases

LOADERS = ('train_dataloader', 'val_dataloader')
FULL = 25  # so many cases of a subset are read before the start, the others as they come
_WAY = (
    'this folder is the data of {key}; tools/prepare_data.py medical writes one, '
    '--cfg-options {key}.dataset.data_root= points to it'
)
_PREPARE = {
    f'data/{name}': f'write it by: python tools/prepare_data.py samples --name {name}'
    for name in ('brain', 'brain_disturbed')
}


def guard(cfg: Config, keys: Sequence[str] = LOADERS) -> None:
    """Check the cases of `cfg`'s loaders `keys`.

    Raises:
        DataError: lists every problem found; nothing has been trained.
    """
    problems = list(config_problems(cfg, keys))
    if problems:
        raise DataError(problems)


def config_problems(cfg: Config, keys: Sequence[str] = LOADERS, full: int = FULL) -> Iterator[str]:
    """One line for each problem in the data; at most `full` cases of a subset are read."""
    told, seen = set(), []
    for key in keys:
        for dataset in leaves(cfg[key].dataset) if cfg.get(key) is not None else ():
            if dataset in seen or str(dataset.get('type')).split('.')[-1] != 'CaseDataset':
                continue
            seen.append(dataset)
            for problem in _dataset_problems(key, dataset, cfg.get('model') or {}, full):
                if problem not in told:  # one folder serves several loaders
                    told.add(problem)
                    yield problem


def _dataset_problems(
    key: str, dataset: Mapping[str, Any], model: Mapping[str, Any], full: int
) -> Iterator[str]:
    root = str(dataset.get('data_root'))
    layout, problems = scan_layout(root)
    yield from problems
    if layout is None:
        yield f'{root}: {_PREPARE.get(root.rstrip("/")) or _WAY.format(key=key)}'
        return
    try:
        split = dataset.get('split', 'train')
        cases = layout.split(split, dataset.get('fold', 0))
        preparation = Preparation(**(dataset.get('preparation') or {}))
    except DataError as error:
        yield from error.problems
        return
    except (ValueError, TypeError) as error:
        yield f'{key}: {error}'
        return
    if not cases and not problems:
        yield f'{root}: split={split!r} of {key} has no case'
    yield from _number_problems(key, dataset, layout, preparation, model)
    if cases and all(case.labels is None for case in cases):
        yield (
            f'{root}: split={split!r} of {key} has no masks to score by; put them into labelsTs, '
            'or apply the network by tools/infer.py'
        )
    yield from _case_problems(cases, len(layout.classes), preparation, full)


def _number_problems(
    key: str,
    dataset: Mapping[str, Any],
    layout: Layout,
    preparation: Preparation,
    model: Mapping[str, Any],
) -> Iterator[str]:
    """Numbers of classes and of channels in folder, preparation and network."""
    named = (dataset.get('metainfo') or {}).get('classes')
    classes = model.get('num_classes')
    if named is not None and len(named) != len(layout.classes):
        yield (
            f'{key}: metainfo names {len(named)} classes, {layout.root / "dataset.json"} has '
            f'{len(layout.classes)}: {", ".join(layout.classes)}'
        )
    if classes is not None and classes != len(layout.classes):
        yield (
            f'model.num_classes is {classes}, {layout.root / "dataset.json"} has '
            f'{len(layout.classes)} classes: {", ".join(layout.classes)}'
        )
    channels = len(layout.channels)
    if len(preparation.channels) != channels:
        yield (
            f'{key}: preparation.channels has {len(preparation.channels)} entries, '
            f'{layout.root / "dataset.json"} {channels} channels: {", ".join(layout.channels)}'
        )
    taken = (model.get('backbone') or {}).get('in_channels', channels)
    if taken != channels:
        yield (
            f'model.backbone.in_channels is {taken}, {layout.root / "dataset.json"} has '
            f'{channels} channels: {", ".join(layout.channels)}'
        )


def _case_problems(
    cases: Sequence[Case], classes: int, preparation: Preparation, full: int
) -> Iterator[str]:
    """Cases that cannot be used, and spacings that differ while nothing resamples them."""
    if len(cases) > full:
        note = f'{len(cases)} cases: {full} are read now, every one again when it is loaded.'
        print_log(note, logger='current')
    findings = Findings()
    chosen = np.linspace(0, len(cases) - 1, min(len(cases), full)).astype(int)
    for _ in read_cases([cases[n] for n in chosen], classes, findings):
        pass
    yield from findings.problems
    wanted = preparation.spacing or (None, None, None)
    for axis in mixed_axes(findings.spacings.values()):
        if wanted[list(preparation.axes).index(axis)] is None:
            found = sorted({round(spacing[axis], 4) for spacing in findings.spacings.values()})
            yield (
                f'spacing along {"XYZ"[axis]} differs from case to case ({found[0]:g} to '
                f'{found[-1]:g} mm) and preparation.spacing leaves it as it is; name one in mm, as '
                'tools/plan.py does'
            )
