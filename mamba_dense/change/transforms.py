"""Loading and augmenting two dates and their labels under one random draw.

A sample's `img` holds both dates, (H, W, 6), the first one's channels first, in RGB order; its
`seg_fields` names the labels, `gt_NAME` (H, W). Hence mmseg's transforms of image and labels, such
as `mmseg.RandomFlip`, move everything alike; what touches colours goes through `DatesApart`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mamba_dense.change.labels import coloured, decode, read_colour, read_label
from mamba_dense.engine.files import DataError
from mamba_dense.registry import TRANSFORMS

IGNORE = 255
META = (
    'img_path',
    'post_path',
    'name',
    'ori_shape',
    'img_shape',
    'flip',
    'flip_direction',
)


def stack_dates(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Two pictures (H, W, 3) as one array (H, W, 6)."""
    return np.concatenate((pre, post), axis=2)


def fields(results: Mapping[str, Any]) -> list[str]:
    """Keys of the labels of a sample."""
    return list(results.get('seg_fields', ()))


@TRANSFORMS.register_module()
class LoadDates(BaseTransform):
    """Reads `img_path` and `post_path` into `img` (H, W, 6) uint8.

    Raises:
        DataError: the dates differ in size, or a picture has one band; names the files.
    """

    def transform(self, results: dict) -> dict:
        """`results` with `img`, `img_shape` and `ori_shape`."""
        pre, post = (read_colour(results[key]) for key in ('img_path', 'post_path'))
        if pre.shape != post.shape:
            raise DataError(
                f'{results["img_path"]} has {_by(pre)} pixels, {results["post_path"]} {_by(post)}; '
                'both dates must be of one size and place'
            )
        results['img'] = stack_dates(pre, post)
        results['img_shape'] = results['ori_shape'] = pre.shape[:2]
        return results


def _by(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


@TRANSFORMS.register_module()
class LoadChangeLabels(BaseTransform):
    """Reads the files of `label_paths` into `gt_NAME` (H, W) uint8 and lists them in `seg_fields`.

    `encodings` of the sample says what each stored value means; of several channels the first one
    counts.

    Raises:
        DataError: a label of another size than the images, or a value without a meaning.
    """

    def transform(self, results: dict) -> dict:
        """`results` with the labels."""
        results['seg_fields'] = []
        for name, path in results['label_paths'].items():
            label = read_label(path, coloured(results['encodings'][name]))
            if 'ori_shape' in results and label.shape[:2] != tuple(results['ori_shape']):
                height, width = results['ori_shape']
                raise DataError(f'{path} has {_by(label)} pixels, its images {width}x{height}')
            results[f'gt_{name}'] = decode(label, results['encodings'][name], path)
            results['seg_fields'].append(f'gt_{name}')
        return results


@TRANSFORMS.register_module()
class ChangeCrop(BaseTransform):
    """A random crop; smaller images are padded at random, with 0 and labels with 255.

    Up to `tries` crops are drawn until the commonest label covers less than `limit` of the
    labelled pixels; the last one is taken otherwise.

    Args:
        size: height and width.
        limit: share of the commonest value of the first label.
        tries: how many crops are drawn at most.

    Raises:
        ValueError: `tries` below 1.
    """

    def __init__(self, size: tuple[int, int], limit: float = 0.75, tries: int = 10):
        if tries < 1:
            raise ValueError(f'tries={tries} must be at least 1.')
        self.size = tuple(size)
        self.limit = limit
        self.tries = tries

    @cache_randomness
    def _place(self, room: tuple[int, int]) -> tuple[int, int]:
        return tuple(int(np.random.randint(one + 1)) for one in room)

    def transform(self, results: dict) -> dict:
        """`results` with image and labels of `size`."""
        self._pad(results)
        keys = fields(results)
        room = [have - want for have, want in zip(results['img'].shape, self.size)]
        for _ in range(self.tries):
            top, left = self._place(tuple(room))
            window = slice(top, top + self.size[0]), slice(left, left + self.size[1])
            if not keys or self._mixed(results[keys[0]][window]):
                break
        for key in ('img', *keys):
            results[key] = np.ascontiguousarray(results[key][window])
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _mixed(self, label: np.ndarray) -> bool:
        counts = np.bincount(label[label != IGNORE])
        return counts.sum() > 0 and counts.max() < self.limit * counts.sum()

    def _pad(self, results: dict) -> None:
        short = tuple(max(n - have, 0) for n, have in zip(self.size, results['img'].shape))
        if not any(short):
            return
        starts = self._place(short)
        margins = [(start, rest - start) for start, rest in zip(starts, short, strict=True)]
        results['img'] = np.pad(results['img'], (*margins, (0, 0)))
        for key in fields(results):
            results[key] = np.pad(results[key], margins, constant_values=IGNORE)


@TRANSFORMS.register_module()
class QuarterTurn(BaseTransform):
    """Turns image and labels by a random number of quarter turns.

    Args:
        turns: numbers to draw from; the published recipe never leaves a sample as it is.
    """

    def __init__(self, turns: Sequence[int] = (1, 2, 3)):
        self.turns = tuple(turns)

    @cache_randomness
    def _turn(self) -> int:
        return int(np.random.choice(self.turns))

    def transform(self, results: dict) -> dict:
        """`results`, turned."""
        turn = self._turn()
        for key in ('img', *fields(results)):
            results[key] = np.ascontiguousarray(np.rot90(results[key], turn))
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class ExchangeDates(BaseTransform):
    """Swaps the dates, and their land covers with them: what was built is pulled down.

    Args:
        prob: how often.

    Raises:
        DataError: the sample has damage labels, which mean nothing backwards.
    """

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} must lie between 0 and 1.')
        self.prob = prob

    @cache_randomness
    def _chosen(self) -> bool:
        return bool(np.random.rand() < self.prob)

    def transform(self, results: dict) -> dict:
        """`results` with the second date first, or as it was."""
        if 'gt_damage' in results:
            raise DataError('ExchangeDates cannot be used with damage labels: leave it out')
        if self._chosen():
            results['img'] = stack_dates(*reversed(np.split(results['img'], 2, axis=2)))
            if 'gt_pre' in results:
                results['gt_pre'], results['gt_post'] = results['gt_post'], results['gt_pre']
        return results


@TRANSFORMS.register_module()
class DatesApart(BaseTransform):
    """Gives each date on its own to a transform of colours, which draws anew for each.

    Args:
        transform: config of a transform of `img` (H, W, 3), such as
            `dict(type='mmseg.PhotoMetricDistortion')`.
    """

    def __init__(self, transform: Mapping[str, Any]):
        self.inner = TRANSFORMS.build(dict(transform))

    def transform(self, results: dict) -> dict:
        """`results` with both dates changed."""
        dates = [
            self.inner({'img': np.ascontiguousarray(one)})['img']
            for one in np.split(results['img'], 2, axis=2)
        ]
        results['img'] = stack_dates(*dates)
        return results


@TRANSFORMS.register_module()
class PackChange(BaseTransform):
    """`inputs` (6, H, W) and a `SegDataSample` with every label as `gt_NAME` (1, H, W) int64.

    Args:
        meta_keys: what else of the sample is kept.
    """

    def __init__(self, meta_keys: Sequence[str] = META):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """The packed sample."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = SegDataSample()
        for key in fields(results):
            label = torch.from_numpy(np.ascontiguousarray(results[key]).astype(np.int64))
            sample.set_data({key: PixelData(data=label[None])})
        sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return {'inputs': torch.from_numpy(image), 'data_samples': sample}
