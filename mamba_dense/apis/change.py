"""Change detection from Python: two dates in, maps of what changed out; numpy in, numpy out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .drawing import class_colours
from .images import ImageError, check_image, read_image, to_bytes
from .large_image import count_tiles, predict_bands

DATES = 2
# what maps hold where nothing was predicted
NODATA = 255


@dataclass(frozen=True)
class ChangeMaps:
    """What a change network says of two dates, by the names of its outputs.

    Binary change has `change`; semantic change `change` and the land cover `pre` and `post`,
    which is 0 where nothing changed; building damage `building` and the grade `damage`, which is
    0 where no building stood.

    Attributes:
        maps: (H, W) uint8 class numbers.
        confidence: (H, W) float32, probability of the network's first choice.
        scores: (classes, H, W) float32 probabilities, or None where they were not asked for.
    """

    maps: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray] | None = None


def is_change_detector(model: nn.Module) -> bool:
    """Whether a network takes two dates."""
    return isinstance(getattr(getattr(model, 'decode_head', None), 'outputs', None), Mapping)


def check_change_detector(model: nn.Module) -> None:
    """Refuse a network of another task.

    Raises:
        ValueError: names the network and what serves it.
    """
    if not is_change_detector(model):
        raise ValueError(
            f'{type(model).__name__} takes one picture, not two dates; use infer, or a change '
            'network such as changemamba-nano_bcd_scenes-128x128.'
        )


def bands_of_a_date(model: nn.Module) -> int:
    """Channels that a change network takes of each date."""
    return int(model.in_channels) // DATES


def infer_change(
    model: nn.Module,
    before: str | Path | np.ndarray,
    after: str | Path | np.ndarray,
    *,
    value_range: tuple[float, float] | None = None,
    keep_scores: bool = False,
    tile: int | None = None,
    overlap: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> ChangeMaps:
    """Predict what changed between two dates of one place.

    Args:
        model: a change network from `init_model`.
        before, after: paths, or arrays (H, W), (H, W, 3) in the order red, green, blue, or
            (H, W, 4), uint8 or uint16; both of one height and width.
        value_range: darkest and brightest value of other dtypes or of partly used 16 bits.
        keep_scores: return the probabilities of all classes too.
        tile: predict in square tiles of this side, blended; None predicts as the config says.
        overlap: pixels that neighbouring tiles share; None is a quarter of the tile.
        on_tile: called after each tile with how many are done and how many there are.

    Raises:
        ImageError: a picture cannot be used, or the dates differ in size.
        ValueError: the network is not of change detection, or scores are asked of tiles.
    """
    check_change_detector(model)
    dates = [_date(model, before, value_range, 'before'), _date(model, after, value_range, 'after')]
    sizes = [f'{date.shape[1]}x{date.shape[0]}' for date in dates]
    if sizes[0] != sizes[1]:
        raise ImageError(
            f'before has {sizes[0]} pixels, after {sizes[1]}; both dates must be of one size and '
            'place: crop or resample one of them.'
        )
    pixels = np.concatenate(dates, axis=2)
    if tile is None:
        scores = predict_dates(model, pixels)
        return decide(model, scores, keep_scores=keep_scores)
    if keep_scores:
        raise ValueError('keep_scores=True holds the scores of the whole picture; leave tile=None.')
    overlap = tile // 4 if overlap is None else overlap
    total, done = count_tiles(pixels.shape, tile, overlap), count(1)

    def predict(part: np.ndarray) -> np.ndarray:
        scores = predict_dates(model, part)
        if on_tile is not None:
            on_tile(next(done), total)
        return scores

    bands = [decide(model, s) for _, s in predict_bands(pixels, predict, tile, overlap)]
    return ChangeMaps(
        {name: np.concatenate([band.maps[name] for band in bands]) for name in outputs(model)},
        {name: np.concatenate([b.confidence[name] for b in bands]) for name in outputs(model)},
    )


def outputs(model: nn.Module) -> dict[str, int]:
    """Names of what the network says, each with its number of classes."""
    return dict(model.decode_head.outputs)


def _date(
    model: nn.Module,
    image: str | Path | np.ndarray,
    value_range: tuple[float, float] | None,
    role: str,
) -> np.ndarray:
    """One date as (H, W, C) uint8."""
    channels = bands_of_a_date(model)
    if isinstance(image, np.ndarray):
        name, pixels = role, image
    else:
        name, pixels = str(image), read_image(image, channels)
    return to_bytes(pixels, channels, check_image(pixels, value_range, name), name)


@torch.inference_mode()
def predict_dates(model: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Probabilities (all classes, H, W) float32, output by output, of dates (H, W, 2 C) uint8."""
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))  # (2 C, H, W)
    data = model.data_preprocessor({'inputs': [x]})
    size = pixels.shape[:2]
    meta = {'img_shape': tuple(data['inputs'].shape[2:]), 'ori_shape': size}
    logits = model.inference(data['inputs'], [meta])[0, :, : size[0], : size[1]].float()
    parts = logits.split(tuple(outputs(model).values()))
    return torch.cat([part.softmax(dim=0) for part in parts]).cpu().numpy()


def decide(model: nn.Module, scores: np.ndarray, *, keep_scores: bool = False) -> ChangeMaps:
    """Classes from probabilities (all classes, H, W): see `ChangeMaps`."""
    sizes = outputs(model)
    parts = dict(zip(sizes, np.split(scores, np.cumsum([*sizes.values()])[:-1]), strict=True))
    maps = {name: part.argmax(axis=0).astype(np.uint8) for name, part in parts.items()}
    for name, ruler in ruled_by(sizes).items():
        maps[name][maps[ruler] == 0] = 0
    confidence = {name: part.max(axis=0) for name, part in parts.items()}
    return ChangeMaps(maps, confidence, parts if keep_scores else None)


def ruled_by(names: Mapping[str, int]) -> dict[str, str]:
    """Outputs that mean nothing where another one is 0, each with that other one."""
    rulers = {'pre': 'change', 'post': 'change', 'damage': 'building'}
    return {name: rulers[name] for name in names if rulers.get(name) in names}


def class_names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Names of the classes of every output, by the config's data set, or the task's own."""
    from ..change.datasets import TASKS  # mmseg, for these networks alone

    stated = tuple(model.dataset_meta.get('classes') or ())
    task = next((names for names in TASKS.values() if names.keys() == outputs(model).keys()), {})
    found = {}
    for name, size in outputs(model).items():
        own = task.get(name, ())
        kept = stated if len(stated) == size and size > DATES else own
        found[name] = kept if len(kept) == size else tuple(f'class {i}' for i in range(size))
    return found


def colours(model: nn.Module) -> dict[str, np.ndarray]:
    """Colours (classes, 3) uint8 of the classes of every output."""
    from ..change.datasets import COVER_PALETTE, DAMAGE_PALETTE

    palettes = {'pre': COVER_PALETTE, 'post': COVER_PALETTE, 'damage': DAMAGE_PALETTE}
    return {
        name: class_colours(size, palettes.get(name, ((0, 0, 0), (255, 255, 255))))
        for name, size in outputs(model).items()
    }
