"""Scores of whole cases of which a 2-D network has seen the slices one by one, over mmseg."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from scipy import ndimage

from mamba_dense.medical.scores import case_scores
from mamba_dense.registry import METRICS

_SLICE = r'(?P<case>.+)_slice(?P<index>\d+)'


@dataclass(frozen=True)
class _Slice:
    case: str
    index: int
    shape: tuple[int, int]
    predicted: bytes  # class numbers, packed: the slices of all cases are kept to the end
    truth: bytes


@METRICS.register_module()
class SliceCaseScores(BaseMetric):
    """Dice and HD95 of each class and case, averaged over the cases, then over the classes.

    VM-UNet's and TransUNet's on Synapse (arXiv 2402.02491, 2102.04306): the slices of a case are
    stacked, HD95 is in voxels, the background is not scored, and undefined cases are those of
    `scores.case_scores`. Predictions on another grid than the truth's are brought to it by the
    nearest value, as released (`ZoomSlice(as_original=True)` leaves them there).

    Results: `DSC` in percent, `HD95`, and both for each class as `DSC.liver`.

    Args:
        names: pattern of the file names without suffix, with the groups `case` and `index`.
        ignore_index: label of pixels that count as background in truth and prediction.
        collect_device, prefix: of mmengine.

    Raises:
        ValueError: `names` lacks a group.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        names: str = _SLICE,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.names = re.compile(names)
        if {'case', 'index'} - {*self.names.groupindex}:
            raise ValueError(
                f'names={names!r} must have the groups case and index, for example {_SLICE!r}.'
            )
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Keep the slices of one batch of mmseg's samples.

        Raises:
            ValueError: a file name does not say case and index.
        """
        for sample in data_samples:
            found = self.names.fullmatch(Path(sample['img_path']).stem)
            if found is None:
                raise ValueError(
                    f'{sample["img_path"]}: the name does not tell case and slice by the pattern '
                    f'{self.names.pattern}; rename it, or give names= to SliceCaseScores.'
                )
            predicted = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            if predicted.shape != truth.shape:
                factors = [a / b for a, b in zip(truth.shape, predicted.shape, strict=True)]
                predicted = ndimage.zoom(predicted, factors, order=0)
            ignored = truth == self.ignore_index
            packed = [
                zlib.compress(np.where(ignored, 0, labels).astype(np.uint8).tobytes(), 1)
                for labels in (predicted, truth)
            ]
            self.results.append(_Slice(found['case'], int(found['index']), truth.shape, *packed))

    def compute_metrics(self, results: list[_Slice]) -> dict[str, float]:
        """The means, DSC in percent and HD95 in voxels.

        Raises:
            ValueError: a case lacks a slice between others, has one twice, or slices of several
                sizes.
        """
        cases: dict[str, list[_Slice]] = {}
        for one in results:
            cases.setdefault(one.case, []).append(one)
        classes = (self.dataset_meta or {}).get('classes') or ()
        stacks = (_stack(name, slices) for name, slices in sorted(cases.items()))
        scores = np.array(
            [
                [case_scores(predicted == i, truth == i) for i in range(1, len(classes))]
                for predicted, truth in stacks
            ]
        )  # (cases, classes, 2)
        each = scores.mean(axis=0)
        mean = each.mean(axis=0)
        found = {'DSC': round(100 * mean[0], 3), 'HD95': round(mean[1], 3)}
        for name, (dice, distance) in zip(classes[1:], each, strict=True):
            found |= {f'DSC.{name}': round(100 * dice, 3), f'HD95.{name}': round(distance, 3)}
        return {key: float(value) for key, value in found.items()}


def _stack(case: str, slices: list[_Slice]) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth of a case, (slices, H, W) uint8."""
    slices = sorted(slices, key=lambda one: one.index)
    indices = [one.index for one in slices]
    if indices != list(range(indices[0], indices[0] + len(slices))):
        raise ValueError(
            f'case {case} has the slices {indices}; they must follow each other, each once.'
        )
    shapes = {one.shape for one in slices}
    if len(shapes) > 1:
        raise ValueError(f'case {case} has slices of the sizes {sorted(shapes)}; one is needed.')
    (shape,) = shapes
    predicted = _unpack([one.predicted for one in slices], shape)
    return predicted, _unpack([one.truth for one in slices], shape)


def _unpack(packed: Sequence[bytes], shape: tuple[int, int]) -> np.ndarray:
    """(slices, H, W) uint8."""
    planes = [np.frombuffer(zlib.decompress(raw), np.uint8) for raw in packed]
    return np.stack(planes).reshape(-1, *shape)
