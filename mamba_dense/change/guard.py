"""Checks of the pairs of a config before a training, which would fail on them much later."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mamba_dense.change.data_check import sample_problems
from mamba_dense.change.layouts import TASKS
from mamba_dense.engine.files import DataError
from mamba_dense.engine.guards import leaves
from mamba_dense.registry import DATASETS

LOADERS = ('train_dataloader', 'val_dataloader')
FULL = 50  # so many pairs of a subset are opened before the start, the others as they come
_WAY = 'tools/prepare_data.py change writes it; --cfg-options {key}.dataset.data_root= points to it'
# what the networks' heads need labels for
_NETWORKS = {'MambaBCD': 'bcd', 'FCSiamDiff': 'bcd', 'MambaSCD': 'scd', 'MambaBDA': 'bda'}


def guard(cfg: Config, keys: Sequence[str] = LOADERS) -> None:
    """Check the pairs of `cfg`'s loaders `keys`.

    Raises:
        DataError: lists every problem found; nothing has been trained.
    """
    problems = list(config_problems(cfg, keys))
    if problems:
        raise DataError(problems)


def config_problems(cfg: Config, keys: Sequence[str] = LOADERS, full: int = FULL) -> Iterator[str]:
    """One line for each problem in the data; at most `full` pairs of a subset are opened."""
    seen = []
    for key in keys:
        for dataset in leaves(cfg[key].dataset) if cfg.get(key) is not None else ():
            if dataset in seen:
                continue
            seen.append(dataset)
            yield from _task_problems(cfg, key, dataset)
            if str(dataset.get('type')).split('.')[-1] == 'ChangeFolder':
                yield from _folder_problems(key, dataset, full)


def _task_problems(cfg: Config, key: str, dataset: Mapping) -> Iterator[str]:
    network = str(cfg.model.get('type')).split('.')[-1]
    need, has = _NETWORKS.get(network), dataset.get('task', 'bcd')
    lacking = [label for label in TASKS.get(need, ()) if label not in TASKS.get(has, ())]
    if lacking:
        yield (
            f'{key}: {network} learns from labels of {", ".join(lacking)}, which task={has!r} '
            f'does not have; task={need!r} has them'
        )


def _folder_problems(key: str, cfg: Mapping, full: int) -> Iterator[str]:
    try:
        dataset = DATASETS.build({**cfg, 'type': 'mamba_dense.ChangeFolder', 'pipeline': []})
    except DataError as error:
        yield from error.problems
        yield f'{cfg.get("data_root")}: this folder is the data of {key}; {_WAY.format(key=key)}'
        return
    except OSError as error:
        yield f'{cfg.get("names")}: the list of names cannot be read ({error})'
        return
    if len(dataset) > full:
        note = f'{len(dataset)} pairs: {full} are checked now, every one again when it is loaded.'
        print_log(note, logger='current')
    for n in np.linspace(0, len(dataset) - 1, min(len(dataset), full)).astype(int):
        yield from sample_problems(dataset.get_data_info(int(n)))
