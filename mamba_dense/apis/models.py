"""From a config file or a name to the config of a network and where its weights are."""

import difflib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmengine.config import Config

from ..engine.shipped import configs
from ..registry import MODELS
from ..weights import zoo

_TASKS = ('classification', 'segmentation', 'detection')
_EXTRAS = {'mmdet': 'det', 'mmseg': 'seg'}
# epochs of the schedules that published detectors were trained by
_EPOCHS = {'1x': 12, '1x-bs8': 12, '3x': 36}
DETECTORS = {'Mask R-CNN': 'MaskRCNN', 'Cascade Mask R-CNN': 'CascadeRCNN'}
# type, backbone, arch, number of classes, epochs or None
DetectorKey = tuple[str, str, str, int, int | None]
# ImageNet classifiers are tested on the centre of a picture whose short side is 8/7 of it
_CLASSIFIER_RESIZE = 8 / 7


@dataclass(frozen=True)
class ModelSource:
    """A network to build.

    Attributes:
        name: what it was asked for as.
        cfg: its config.
        weights: address of its published weights, or None.
    """

    name: str
    cfg: Config
    weights: str | None = None


def list_models(task: str | None = None) -> tuple[str, ...]:
    """Names that `init_model` takes: configs of the project, then published weight files.

    Args:
        task: only published files of 'classification', 'segmentation' or 'detection', without the
            configs.

    Raises:
        ValueError: another task.
    """
    if task is not None and task not in _TASKS:
        raise ValueError(f'task={task!r} must be one of {", ".join(_TASKS)}, or None for all.')
    tasks = _TASKS if task is None else (task,)
    published = tuple(file.name for wanted in tasks for file in zoo.list_weights(task=wanted))
    return published if task is not None else (*_config_files(), *published)


def find_model(config: str | Path | Config) -> ModelSource:
    """The network meant by a config file, a `Config` or a name of `list_models()`.

    Raises:
        FileNotFoundError: a path to a config that is not there.
        ValueError: a name that is not known (lists the nearest), or of which there is no config.
        ModuleNotFoundError: the framework of the network is not installed; says which extra has it.
    """
    source = _find(config)
    scope = source.cfg.get('default_scope')
    if scope in _EXTRAS and importlib.util.find_spec(scope) is None:
        raise ModuleNotFoundError(
            f'{source.name} is a network of {scope}, which is not installed: '
            f"pip install --no-build-isolation -e '.[{_EXTRAS[scope]}]'"
        )
    return source


def _find(config: str | Path | Config) -> ModelSource:
    if isinstance(config, Config):
        return ModelSource(config.filename or 'the config given', config)
    path, name = Path(config), str(config)
    if path.is_file():
        return ModelSource(name, _read(path))
    if path.suffix == '.py' or len(path.parts) > 1:
        near = ', '.join(sorted(p.name for p in path.parent.glob('*.py'))) or 'none'
        raise FileNotFoundError(f'{path}: no such config; configs in that folder: {near}.')
    if name in _config_files():
        return ModelSource(name, _read(_config_files()[name]))
    if name not in zoo.WEIGHTS:
        near = difflib.get_close_matches(name, list_models(), n=4, cutoff=0.3) or list_models()[:4]
        raise ValueError(
            f'{name!r} is neither a config file nor a known model; nearest: {", ".join(near)} '
            '(list_models() has all).'
        )
    record = zoo.WEIGHTS[name]
    if record.task == 'classification':
        return ModelSource(name, classifier_config(record), record.url)
    return ModelSource(name, _network_config(record), record.url)


def classifier_config(record: zoo.WeightFile) -> Config:
    """Config of the ImageNet classifier that a published file holds."""
    crop = record.input_size[0]
    # the last stage gives the one feature; its width is the backbone's to say
    kind = MODELS.get(record.backbone.removeprefix('mamba_dense.'))
    dims = kind.ARCHS[record.arch].dims
    return Config(
        {
            'model': {
                'type': 'mamba_dense.ImageClassifier',
                'backbone': {
                    'type': record.backbone,
                    'arch': record.arch,
                    'out_indices': (len(dims) - 1,),
                    'output_norm': False,
                },
                'head': {
                    'type': f'mamba_dense.{kind.CLASSIFIER_HEAD}',
                    'in_channels': dims[-1],
                    'num_classes': record.num_classes,
                },
            },
            'test_input': {
                'resize': round(crop * _CLASSIFIER_RESIZE),
                'crop': crop,
                'mean': record.mean,
                'std': record.std,
            },
        }
    )


def _read(path: Path) -> Config:
    cfg = Config.fromfile(path)
    if 'model' not in cfg:
        raise ValueError(f'{path}: has no `model`; a config describes a network by that name.')
    return cfg


@cache
def _config_files() -> dict[str, Path]:
    """The project's configs by name, the bases left out."""
    return {path.stem: path for path in sorted(configs().glob('[!_]*/*.py'))}


def config_file(name: str) -> Path | None:
    """The project's config of this name, if there is one."""
    return _config_files().get(name)


@cache
def segmentation_configs() -> tuple[tuple[tuple[str, str, int], Path], ...]:
    """Configs of segmentation networks, each with (backbone, arch, number of classes)."""
    found = []
    for path in _config_files().values():
        model = _read(path).model
        if 'num_classes' in model.get('decode_head', {}):  # those of change networks name outputs
            backbone = model.backbone
            key = (backbone.type, str(backbone.get('arch')), model.decode_head.num_classes)
            found.append((key, path))
    return tuple(found)


def segmentors() -> dict[tuple[str, str, int], Path]:
    """Configs of segmentation networks by (backbone, arch, number of classes)."""
    return dict(segmentation_configs())


@cache
def detector_configs() -> tuple[tuple[DetectorKey, Path], ...]:
    """Configs of detectors, each with its key."""
    found = []
    for path in _config_files().values():
        cfg = _read(path)
        head = cfg.model.get('roi_head', cfg.model).get('bbox_head')
        if head is not None:
            backbone, first = cfg.model.backbone, head[0] if isinstance(head, list) else head
            epochs = cfg.get('train_cfg', {}).get('max_epochs')
            arch = str(backbone.get('arch'))
            key = (cfg.model.type, backbone.type, arch, first.num_classes, epochs)
            found.append((key, path))
    return tuple(found)


def detectors() -> dict[DetectorKey, Path]:
    """Configs of detectors by their keys."""
    return dict(detector_configs())


def detector_key(record: zoo.WeightFile) -> DetectorKey:
    """The key in `detectors()` of the config by which a published detector was trained."""
    kind, epochs = DETECTORS.get(record.network, record.network), _EPOCHS.get(record.schedule)
    return (kind, record.backbone, record.arch, record.num_classes, epochs)


def _network_config(record: zoo.WeightFile) -> Config:
    """The project's config for the network that a published file holds."""
    if record.task == 'detection':
        path = detectors().get(detector_key(record))
    else:
        path = segmentors().get((record.backbone, record.arch, record.num_classes))
    if path is None:
        raise ValueError(
            f'{record.name!r} needs its config, and none in {configs()} is a {record.network} of '
            f'{record.arch} with {record.num_classes} classes: give a config file and the weights '
            'as checkpoint.'
        )
    return _read(path)
