"""Checks before and inside an mmseg training, where mmseg itself fails late or not at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope

from mamba_dense.engine.files import DataError, image_problem
from mamba_dense.engine.guards import leaves
from mamba_dense.registry import TRANSFORMS
from mamba_dense.segmentation.data_check import mask_problem, value_problem

LOADERS = ('train_dataloader', 'val_dataloader')
FULL = 200  # so many samples of a subset are decoded before the start, the others as they come
_OTHER_LOADERS = ('.npy', '.npz', '.nii', '.gz', '.tif', '.tiff')  # formats PIL need not know
_PREPARE = {
    f'data/{name}': f'python tools/prepare_data.py samples --name {name} --out data/{name}'
    for name in ('nuclei', 'brain_slices', 'brain_slices_disturbed')
}


@TRANSFORMS.register_module()
class CheckSample:
    """Refuses a sample that the network cannot learn from; stands right after LoadAnnotations.

    Args:
        classes: number of classes.
        channels: channels the network takes.
        ignore: label of pixels that count for nothing.
    """

    def __init__(self, classes: int, channels: int, ignore: int = 255):
        self.classes = classes
        self.channels = channels
        self.ignore = ignore

    def __call__(self, results: dict) -> dict:
        """`results` unchanged.

        Raises:
            DataError: wrong number of channels, mask of another size, label outside the classes.
        """
        image, mask = results['img'], results['gt_seg_map']
        path = results.get('seg_map_path', 'mask')
        found = 1 if image.ndim == 2 else image.shape[2]
        if found != self.channels:
            raise DataError(
                f'{results.get("img_path", "image")}: loaded with {found} channels, the network '
                f"takes {self.channels}; LoadImageFromFile's color_type decides: 'color' 3, "
                "'grayscale' 1, 'unchanged' as in the file"
            )
        size = tuple(results.get('ori_shape', image.shape[:2]))
        if mask.shape[:2] != size:
            by = f'{mask.shape[1]}x{mask.shape[0]}'
            raise DataError(f'{path}: mask of {by} pixels, image of {size[1]}x{size[0]}')
        if _highest(mask, self.ignore) >= self.classes:
            raise DataError(value_problem(path, mask, range(self.classes), self.ignore))
        return results


def _highest(mask: np.ndarray, ignore: int) -> int:
    """The highest value of an unsigned `mask` but for `ignore`."""
    highest = int(mask.max(initial=0))
    if highest == ignore:
        kept = mask[mask != ignore]
        highest = int(kept.max(initial=0))
    return highest


def guard(cfg: Config, keys: Sequence[str] = LOADERS) -> None:
    """Check the data of `cfg`'s loaders `keys`, and let every later sample be checked.

    Raises:
        DataError: lists every problem found; nothing has been trained.
    """
    problems = list(config_problems(cfg, keys))
    if problems:
        raise DataError(problems)
    classes, channels = _classes(cfg), _channels(cfg)
    for loader in _loaders(cfg, keys):
        for pipeline in _pipelines(loader):
            if any(step.get('type') == 'mamba_dense.CheckSample' for step in pipeline):
                continue
            check = {'type': 'mamba_dense.CheckSample', 'classes': classes, 'channels': channels}
            places = [n for n, step in enumerate(pipeline) if step.get('type') == 'LoadAnnotations']
            for place in places[:1]:
                pipeline.insert(place + 1, check)


def config_problems(cfg: Config, keys: Sequence[str] = LOADERS, full: int = FULL) -> Iterator[str]:
    """One line for each problem in the data; at most `full` samples of a subset are decoded."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    yield from _preprocessor_problems(cfg)
    seen = []
    for loader in _loaders(cfg, keys):
        for dataset in leaves(loader.dataset):
            if dataset not in seen:
                seen.append(dataset)
                yield from _dataset_problems(dataset, _classes(cfg), _channels(cfg), full)


def _preprocessor_problems(cfg: Config) -> Iterator[str]:
    channels = _channels(cfg)
    preprocessor = cfg.model.get('data_preprocessor') or {}
    for key in ('mean', 'std'):
        values = preprocessor.get(key)
        if values is not None and len(values) not in (1, channels):
            given = f'data_preprocessor.{key} has {len(values)} values'
            yield f'{given}, backbone.in_channels is {channels}'


def _dataset_problems(cfg: dict, classes: int, channels: int, full: int) -> Iterator[str]:
    missing = list(_missing_folders(cfg))
    if missing:
        yield from missing
        return
    dataset = DATASETS.build({**cfg, 'pipeline': [], 'serialize_data': False})
    named = dataset.metainfo.get('classes')
    if named is not None and len(named) != classes:
        yield f'the dataset has {len(named)} classes, decode_head.num_classes is {classes}'
        return
    if len(dataset) == 0:
        folder = dict(cfg.get('data_prefix') or {}).get('img_path')
        what = f'*{getattr(dataset, "img_suffix", "")} in {folder}'
        yield (
            f'{cfg.get("data_root")}: no images; looked for {what} '
            '(img_suffix and data_prefix say what and where)'
        )
    if len(dataset) > full:
        note = f'{len(dataset)} samples: {full} are checked now, every one again when it is loaded.'
        print_log(note, logger='current')
    for n in np.linspace(0, len(dataset) - 1, min(len(dataset), full)).astype(int):
        problem = _sample_problem(dataset, int(n), classes, channels)
        if problem:
            yield problem


def _sample_problem(dataset, n: int, classes: int, channels: int) -> str | None:
    info = dataset.get_data_info(n)
    image, mask = info.get('img_path'), info.get('seg_map_path')
    if Path(image).suffix.lower() in _OTHER_LOADERS:
        return None
    # mmcv turns grey and RGBA pictures into three channels by itself
    problem = image_problem(image, None if channels == 3 else channels)
    if problem is None and mask is not None:
        ignore = getattr(dataset, 'ignore_index', 255)
        problem = mask_problem(mask, image, _allowed(dataset, classes), ignore)
    return problem


def _missing_folders(cfg: dict) -> Iterator[str]:
    root = cfg.get('data_root') or ''
    for key, folder in dict(cfg.get('data_prefix') or {}).items():
        if not folder or not isinstance(folder, str) or (cfg.get('ann_file') and key != 'img_path'):
            continue
        path = Path(root) / folder
        if not path.is_dir():
            hint = _PREPARE.get(str(root).rstrip('/'))
            way = (
                f'write it by: {hint}'
                if hint
                else 'see --cfg-options train_dataloader.dataset.data_root='
            )
            yield f'{path}: no such folder ({key} of {cfg.get("type")}); {way}'


def _allowed(dataset, classes: int) -> list[int]:
    """Mask values, as they stand in the file, that mean a class or are ignored on purpose."""
    if getattr(dataset, 'label_map', None):
        return sorted(dataset.label_map)
    if getattr(dataset, 'reduce_zero_label', False):
        return list(range(classes + 1))
    return list(range(classes))


def _loaders(cfg: Config, keys: Sequence[str]) -> list:
    return [cfg[key] for key in keys if cfg.get(key) is not None]


def _pipelines(loader: dict) -> Iterator[list]:
    for dataset in leaves(loader.dataset):
        if dataset.get('pipeline'):
            yield dataset['pipeline']


def _classes(cfg: Config) -> int:
    head = cfg.model.get('decode_head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    if 'num_classes' not in head:
        raise DataError(['model.decode_head.num_classes is not set'])
    return head['num_classes']


def _channels(cfg: Config) -> int:
    return cfg.model.get('backbone', {}).get('in_channels', 3)
