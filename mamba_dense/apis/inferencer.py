"""Load a network and predict pictures: numpy in, numpy out."""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import Tensor, nn

from ..weights import load_model_weights
from .change import is_change_detector
from .images import ImageError, check_image, read_image, to_bytes
from .instances import Instances, from_sample, is_detector
from .large_image import count_tiles, predict_bands
from .memory import free_memory
from .models import find_model

Image = str | Path | np.ndarray
# transforms that change the size: left out where tiles are cut from the picture itself
_RESIZES = ('Resize', 'ResizeShortestEdge', 'ResizeToMultiple', 'RandomResize')
# arrays of scores that a whole prediction holds at once
_COPIES = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """What a segmentation network says of one picture.

    Attributes:
        mask: (H, W) class indices, uint8, or uint16 from 257 classes on.
        confidence: (H, W) float32, the probability of the class in the mask.
        scores: (classes, H, W) float32 probabilities, or None where they were not asked for.
    """

    mask: np.ndarray
    confidence: np.ndarray
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Label:
    """What a classifier says of one picture.

    Attributes:
        index: the most probable class.
        scores: (classes,) float32 probabilities.
    """

    index: int
    scores: np.ndarray


def init_model(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    *,
    trusted: bool = False,
) -> nn.Module:
    """Build a network and load its weights, ready to predict.

    Args:
        config: a config file, a `Config`, or a name of `list_models()`.
        checkpoint: weight file, ours or the authors', as path or address. None takes the
            published file of a name from the zoo, and leaves a config at its initial weights.
        device: where to run; None is the GPU if there is one.
        trusted: load a file that holds more than weights, which runs the code inside it.

    Returns:
        The network in eval mode. `model.cfg` is its config, `model.dataset_meta` has `classes`
        and `palette` where the config's data set states them.

    Raises:
        ValueError: the name is unknown, or the weights are of another network.
        FileNotFoundError, ConnectionError: config or weights are not to be had; says what to do.
    """
    source = find_model(config)
    cfg = source.cfg
    device = choose_device(device)
    with _scope(cfg):
        model = revert_sync_batchnorm(MODELS.build(without_pretraining(cfg.model)))
    weights = checkpoint if checkpoint is not None else source.weights
    if weights is None:
        _log.warning('%s: no checkpoint is given, so the weights are random.', source.name)
    else:
        load_model_weights(model, weights, trusted=trusted)
    model.cfg = cfg
    model.dataset_meta = _dataset_meta(cfg)
    return model.to(device).eval()


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or the GPU if there is one.

    Raises:
        ValueError: no such device here.
    """
    try:
        chosen = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    except RuntimeError as error:
        raise ValueError(f'device={device!r} is not a device; try cpu or cuda.') from error
    if chosen.type == 'cuda' and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f'device={device!r}: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs '
            'here; use cpu, or a torch with CUDA on a machine that has one.'
        )
    return chosen


def infer(
    model: nn.Module,
    images: Image | Sequence[Image],
    *,
    value_range: tuple[float, float] | None = None,
    keep_scores: bool = False,
    tile: int | None = None,
    overlap: int | None = None,
    mirror: bool = False,
    on_tile: Callable[[int, int], None] | None = None,
) -> Any:
    """Predict one picture, or several one after the other.

    Args:
        model: from `init_model`.
        images: a path, or an array (H, W), (H, W, 3) in the order red, green, blue, or
            (H, W, 4), uint8 or uint16; or a list of those. Mapped arrays are read tile by tile.
        value_range: darkest and brightest value of other dtypes, or of 16-bit pictures that
            use a part of their range.
        keep_scores: return the probabilities of all classes too (segmentation).
        tile: predict in square tiles of this side, cut at the picture's own resolution, for
            pictures too large for the network at once. None predicts as the config says.
        overlap: pixels that neighbouring tiles share; None is a quarter of the tile.
        mirror: average the probabilities over the picture mirrored along rows, columns and both
            (segmentation).
        on_tile: called after each tile with how many are done and how many there are.

    Returns:
        A `Prediction` (segmentation), `Instances` (detection) or `Label` (classification), or a
        list of them.

    Raises:
        ImageError: a picture cannot be used; names it, its value and the way out.
        MemoryError: the scores of the whole picture do not fit; says which tile to use.
    """
    predict = partial(
        _infer_one,
        model,
        value_range=value_range,
        keep_scores=keep_scores,
        tile=tile,
        overlap=overlap,
        mirror=mirror,
        on_tile=on_tile,
    )
    if isinstance(images, Sequence) and not isinstance(images, str):
        return [predict(image) for image in images]
    return predict(images)


def _infer_one(
    model: nn.Module,
    image: Image,
    *,
    value_range: tuple[float, float] | None,
    keep_scores: bool,
    tile: int | None,
    overlap: int | None,
    mirror: bool,
    on_tile: Callable[[int, int], None] | None,
) -> Prediction | Instances | Label:
    if is_change_detector(model):
        raise ValueError(f'{type(model).__name__} takes two dates: use infer_change.')
    channels = input_channels(model)
    if isinstance(image, np.ndarray):
        name, pixels = 'image', image
    else:
        name, pixels = str(image), read_image(image, channels)
    limits = check_image(pixels, value_range, name)
    if mirror and not hasattr(model, 'decode_head'):
        raise ValueError(f'mirror=True is of segmentation; {type(model).__name__} takes False.')
    if is_detector(model):
        if tile is not None:
            raise ValueError(f'tile={tile}: tiles are of segmentation; detectors take tile=None.')
        return _detect(model, to_bytes(pixels, channels, limits, name))
    if not hasattr(model, 'decode_head'):
        return _classify(model, to_bytes(pixels, channels, limits, name))
    if tile is None:
        _check_memory(model, pixels.shape, name)
        scores = _segment(model, to_bytes(pixels, channels, limits, name), mirror)
        return _decide(model, scores, keep_scores)
    if keep_scores:
        raise ValueError('keep_scores=True holds the scores of the whole picture; leave tile=None.')

    overlap = tile // 4 if overlap is None else overlap
    total, done = count_tiles(pixels.shape, tile, overlap), itertools.count(1)

    def predict(part: np.ndarray) -> np.ndarray:
        scores = _segment(model, to_bytes(part, channels, limits, name), mirror, resize=False)
        if on_tile is not None:
            on_tile(next(done), total)
        return scores

    return _assemble(model, pixels.shape, predict_bands(pixels, predict, tile, overlap))


def input_channels(model: nn.Module) -> int:
    """Channels of the pictures the network takes."""
    for owner in (model, getattr(model, 'backbone', None)):
        channels = getattr(owner, 'in_channels', None)
        if channels is not None:
            return int(channels)
    mean = getattr(model.data_preprocessor, 'mean', None)
    return 3 if mean is None else int(mean.numel())


def without_pretraining(config: Mapping[str, Any]) -> Any:
    """A copy of a model's config that builds without loading any weights of its parts."""
    if isinstance(config, Mapping):
        return ConfigDict(
            {
                key: without_pretraining(value)
                for key, value in config.items()
                if key not in ('init_cfg', 'pretrained')
            }
        )
    if isinstance(config, list | tuple):
        return type(config)(without_pretraining(value) for value in config)
    return config


@contextmanager
def _scope(cfg: Config) -> Iterator[None]:
    """Within it, types without a prefix are those of the config's default scope."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        yield


def test_dataset(cfg: Config) -> Mapping[str, Any]:
    """The data set of a config that tests, else the one that validates; empty without both."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    return loader.get('dataset', {})


def _dataset_meta(cfg: Config) -> dict[str, Any]:
    dataset = test_dataset(cfg)
    meta: dict[str, Any] = {}
    if 'type' in dataset:
        with _scope(cfg):
            found = DATASETS.get(dataset['type'])
        meta.update(getattr(found, 'METAINFO', None) or {})
    meta.update(dataset.get('metainfo') or {})
    return meta


def _pipeline(cfg: Config, resize: bool) -> Compose:
    """The config's test transforms without those that load files."""
    steps = cfg.get('test_pipeline') or test_dataset(cfg).get('pipeline')
    if steps is None:
        raise ValueError(
            f'{cfg.filename}: has neither test_pipeline nor test_dataloader.dataset.pipeline, '
            'so how to prepare a picture is not known; add one of them.'
        )
    left_out = () if resize else _RESIZES
    kept = [
        step
        for step in steps
        if not step['type'].rpartition('.')[2].startswith('Load') and step['type'] not in left_out
    ]
    with _scope(cfg):
        return Compose(kept)


def _segment(
    model: nn.Module, pixels: np.ndarray, mirror: bool = False, *, resize: bool = True
) -> np.ndarray:
    """Probabilities (classes, H, W) float32 of a picture (H, W, C) uint8."""
    if not mirror:
        return _segment_once(model, pixels, resize)
    turns = ((), (0,), (1,), (0, 1))
    scores = (_segment_once(model, np.flip(pixels, turn), resize) for turn in turns)
    # the axes of the picture are one further in the scores
    return sum(np.flip(s, [1 + a for a in t]) for s, t in zip(scores, turns)) / len(turns)


@torch.inference_mode()
def _segment_once(model: nn.Module, pixels: np.ndarray, resize: bool) -> np.ndarray:
    size = pixels.shape[:2]
    logits: Tensor = _sample(model, pixels, resize).seg_logits.data  # (classes, H, W)
    if tuple(logits.shape[1:]) != size:
        raise RuntimeError(f'the network returned {tuple(logits.shape[1:])} for a picture {size}.')
    # mmseg has already applied the sigmoid where there is one class
    scores = logits if logits.shape[0] == 1 else logits.float().softmax(dim=0)
    return scores.float().cpu().numpy()


@torch.inference_mode()
def _detect(model: nn.Module, pixels: np.ndarray) -> Instances:
    """Objects in a picture (H, W, C) uint8."""
    return from_sample(_sample(model, pixels, resize=True).pred_instances, pixels.shape[:2])


def _sample(model: nn.Module, pixels: np.ndarray, resize: bool) -> Any:
    """What the network says of a picture (H, W, C) uint8, as its framework wraps it."""
    size = pixels.shape[:2]
    # the pipelines' colours are in the order blue, green, red
    stored = pixels[:, :, ::-1] if pixels.shape[2] == 3 else pixels
    record = {
        'img': np.ascontiguousarray(stored),
        'img_id': 0,
        'img_path': None,
        'img_shape': size,
        'ori_shape': size,
    }
    try:
        data = _pipeline(model.cfg, resize)(record)
    except cv2.error as error:
        raise ImageError(
            f'image: {size[1]}x{size[0]} pixels cannot be prepared as the config says, too narrow '
            f'for its resize ({" ".join(str(error).split())}); crop it, or pad it to a less '
            'extreme shape.'
        ) from error
    return model.test_step({'inputs': [data['inputs']], 'data_samples': [data['data_samples']]})[0]


def _decide(model: nn.Module, scores: np.ndarray, keep_scores: bool = False) -> Prediction:
    """Class and confidence of each pixel from scores (classes, H, W)."""
    if scores.shape[0] == 1:
        threshold = getattr(model.decode_head, 'threshold', None) or 0.5
        chosen = scores[0] > threshold
        confidence = np.where(chosen, scores[0], 1 - scores[0])
    else:
        chosen = scores.argmax(axis=0)
        confidence = scores.max(axis=0)
    mask = chosen.astype(np.uint8 if scores.shape[0] <= 256 else np.uint16)
    return Prediction(mask, confidence, scores if keep_scores else None)


def _assemble(
    model: nn.Module, shape: tuple[int, ...], bands: Iterator[tuple[int, np.ndarray]]
) -> Prediction:
    """One prediction of a picture of `shape` from the scores of its bands."""
    mask, confidence = None, np.empty(shape[:2], np.float32)
    for top, scores in bands:
        part = _decide(model, scores)
        if mask is None:
            mask = np.empty(shape[:2], part.mask.dtype)
        rows = slice(top, top + part.mask.shape[0])
        mask[rows], confidence[rows] = part.mask, part.confidence
    return Prediction(mask, confidence)


def _check_memory(model: nn.Module, shape: tuple[int, ...], name: str) -> None:
    """Refuse a picture whose scores alone would exceed the memory that is free."""
    device = next(model.parameters()).device
    if device.type == 'cuda':
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = free_memory()
    classes = model.decode_head.out_channels
    need = _COPIES * 4 * classes * shape[0] * shape[1]
    if free is not None and need > free:
        raise MemoryError(
            f'{name}: {shape[1]}x{shape[0]} pixels of {classes} classes need about '
            f'{need / 1e9:.1f} GB at once, {free / 1e9:.1f} GB are free; predict it in tiles, '
            'for example tile=512 (--tile 512 of tools/infer.py).'
        )


@torch.inference_mode()
def _classify(model: nn.Module, pixels: np.ndarray) -> Label:
    """Label of a picture (H, W, C) uint8, prepared as the config's `test_input` says."""
    test_input = model.cfg.test_input
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()  # (1, C, H, W)
    resize, crop = test_input['resize'], test_input['crop']
    height, width = pixels.shape[:2]
    scale = resize / min(height, width)
    size = (max(crop, round(height * scale)), max(crop, round(width * scale)))
    x = nn.functional.interpolate(x, size, mode='bicubic', antialias=True, align_corners=False)
    top, left = (size[0] - crop) // 2, (size[1] - crop) // 2
    x = x[:, :, top : top + crop, left : left + crop].clamp(0, 255)
    mean, std = (torch.tensor(test_input[key]).view(1, -1, 1, 1) for key in ('mean', 'std'))
    x = ((x - mean) / std).to(next(model.parameters()).device)
    scores = model(x, mode='predict')[0].float().cpu().numpy()
    return Label(int(scores.argmax()), scores)
