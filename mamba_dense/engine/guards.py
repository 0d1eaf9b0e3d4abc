"""Which task's checks look at the data of a config, before anything is trained or scored on it."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from mmengine.config import Config

_SCOPES = {'mmseg': 'mamba_dense.segmentation.guard', 'mmdet': 'mamba_dense.detection.guard'}
# first letters of a data set of ours -> whose it is
_DATASETS = {'Change': 'mamba_dense.change.guard', 'Case': 'mamba_dense.medical.guard'}
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def find_guard(cfg: Config) -> ModuleType | None:
    """The module with `guard(cfg, keys)` and `config_problems(cfg, keys, full)`, or None.

    The default scope says which; configs of this library's own scope are told by their data sets.
    """
    scope = cfg.get('default_scope')
    if scope in _SCOPES:
        return import_module(_SCOPES[scope])
    for key in _LOADERS:
        for dataset in leaves(cfg[key].dataset) if cfg.get(key) is not None else ():
            kind = str(dataset.get('type')).removeprefix('mamba_dense.')
            for start, module in _DATASETS.items():
                if kind.startswith(start):
                    return import_module(module)
    return None


def leaves(dataset: Mapping) -> Iterator[Mapping]:
    """The datasets inside wrappers such as RepeatDataset or ConcatDataset."""
    if 'dataset' in dataset:
        yield from leaves(dataset['dataset'])
    elif 'datasets' in dataset:
        for one in dataset['datasets']:
            yield from leaves(one)
    else:
        yield dataset
