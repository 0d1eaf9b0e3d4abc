"""ChangeMamba's scores of binary and semantic change maps and of damage maps.

A ratio whose denominator is 0 is 0 here: no changed pixel gives a recall of 0, as no prediction
gives a precision of 0; kappa is 0 where chance alone agrees everywhere.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.evaluator import BaseMetric

from mamba_dense.registry import METRICS

IGNORE = 255
EPS = 1e-7  # in the denominators of the damage scores, as the authors have it


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes), rows truth and columns prediction; other truths are left out."""
    keep = (truth >= 0) & (truth < classes)
    index = classes * truth[keep].astype(np.int64) + found[keep].astype(np.int64)
    return np.bincount(index, minlength=classes**2).reshape(classes, classes)


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else 0.0


def _kappa(matrix: np.ndarray) -> float:
    """Cohen's kappa of a confusion matrix."""
    matrix = matrix.astype(np.float64)
    total = matrix.sum()
    if not total:
        return 0.0
    chance = float(matrix.sum(0) @ matrix.sum(1)) / total**2
    return _ratio(np.trace(matrix) / total - chance, 1 - chance)


def binary_scores(matrix: np.ndarray) -> dict[str, float]:
    """recall, precision, oa, f1, iou and kappa of class 1 by a confusion matrix (2, 2)."""
    (tn, fp), (fn, tp) = matrix.tolist()
    recall, precision = _ratio(tp, tp + fn), _ratio(tp, tp + fp)
    return {
        'recall': recall,
        'precision': precision,
        'oa': _ratio(tn + tp, tn + fp + fn + tp),
        'f1': _ratio(2 * precision * recall, precision + recall),
        'iou': _ratio(tp, tp + fp + fn),
        'kappa': _kappa(matrix),
    }


def joint_label(
    change: np.ndarray, pre: np.ndarray, post: np.ndarray, covers: int = 6
) -> np.ndarray:
    """0 for unchanged, else covers * (pre - 1) + post: what became what, of 1..covers**2.

    A changed pixel whose land cover is 0 on either date says that nothing changed: 0.
    """
    known = (change > 0) & (pre > 0) & (post > 0)
    joint = covers * (pre.astype(np.int64) - 1) + post.astype(np.int64)
    return np.where(known, joint, 0)


def semantic_scores(histogram: np.ndarray) -> dict[str, float]:
    """miou, sek, f_scd and kappa_n0 of joint labels.

    Args:
        histogram: counts of joint labels, rows *prediction* and columns truth.
    """
    c00 = float(histogram[0, 0])
    c01, c10 = histogram[0].sum() - c00, histogram[:, 0].sum() - c00
    changed = float(histogram[1:, 1:].sum())
    iou = _ratio(changed, changed + c01 + c10)
    without = histogram.copy()
    without[0, 0] = 0
    kappa = _kappa(without)
    right = float(np.trace(histogram)) - c00
    total = float(histogram.sum())
    precision = _ratio(right, total - histogram[0].sum())
    recall = _ratio(right, total - histogram[:, 0].sum())
    return {
        'miou': (_ratio(c00, c00 + c01 + c10) + iou) / 2,
        'sek': float(kappa * np.exp(iou - 1)),
        'f_scd': _ratio(2 * precision * recall, precision + recall),
        'kappa_n0': kappa,
    }


def damage_scores(building: np.ndarray, damage: np.ndarray) -> dict[str, Any]:
    """f1_loc, f1_damage (of each grade), f1_clf and f1_oa.

    Args:
        building: confusion matrix (2, 2) of the buildings.
        damage: confusion matrix (5, 5) of the grades over the pixels of true buildings.
    """
    right = np.diag(damage).astype(np.float64)[1:]
    precision = right / (damage.sum(0)[1:] + EPS)
    recall = right / (damage.sum(1)[1:] + EPS)
    grades = 2 * precision * recall / (precision + recall + EPS)
    harmonic = len(grades) / (1 / grades).sum() if grades.all() else 0.0
    location = binary_scores(building)['f1']
    return {
        'f1_loc': location,
        'f1_damage': grades,
        'f1_clf': float(harmonic),
        'f1_oa': float(0.3 * location + 0.7 * harmonic),
    }


class ChangeMetric(BaseMetric):
    """Base of the metrics: reads `gt_NAME` and `pred_NAME` of every output.

    Args:
        collect_device: 'cpu' or 'gpu', where results of several processes meet.
        prefix: of the scores' names.
    """

    OUTPUTS: ClassVar[tuple[str, ...]]

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, _data_batch: Mapping | None, data_samples: Sequence[Mapping]) -> None:
        """Count one batch of samples as dictionaries."""
        for sample in data_samples:
            maps = {
                f'{kind}_{name}': _map(sample, f'{kind}_{name}')
                for kind in ('gt', 'pred')
                for name in self.OUTPUTS
            }
            self.results.append(self.count(maps))

    @abstractmethod
    def count(self, maps: Mapping[str, np.ndarray]) -> Any:
        """What one image adds, of its maps (H, W) by name."""
        raise TypeError(f'{type(self).__name__} does not define what it counts.')


def _map(sample: Mapping, name: str) -> np.ndarray:
    data = sample[name]['data'] if isinstance(sample[name], Mapping) else sample[name].data
    return data.squeeze(0).cpu().numpy()


@METRICS.register_module()
class BinaryChangeMetric(ChangeMetric):
    """Recall, precision, OA, F1, IoU and kappa of the changed pixels of all images together."""

    default_prefix = 'change'
    OUTPUTS = ('change',)

    def count(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `ChangeMetric.count`."""
        return confusion(maps['gt_change'], maps['pred_change'], 2)

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        """See `binary_scores`."""
        return binary_scores(sum(results))


@METRICS.register_module()
class SemanticChangeMetric(ChangeMetric):
    """OA (mean over the images), F1, mIoU, SeK and Fscd of semantic changes; `covers` land covers.

    Args:
        covers: number of land covers, 0 not counted.
        collect_device, prefix: see `ChangeMetric`.
    """

    default_prefix = 'change'
    OUTPUTS = ('change', 'pre', 'post')

    def __init__(self, covers: int = 6, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.covers = covers

    def count(self, maps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float]:
        """See `ChangeMetric.count`; pixels labelled 255 in any map are left out."""
        keep = np.all([maps[f'gt_{name}'] != IGNORE for name in self.OUTPUTS], axis=0)
        truth, found = (
            joint_label(*[maps[f'{kind}_{name}'][keep] for name in self.OUTPUTS], self.covers)
            for kind in ('gt', 'pred')
        )
        histogram = confusion(truth, found, self.covers**2 + 1).T
        return histogram, _ratio((truth == found).sum(), truth.size)

    def compute_metrics(self, results: Sequence[tuple[np.ndarray, float]]) -> dict[str, float]:
        """See `semantic_scores`."""
        histograms, agreements = zip(*results, strict=True)
        return {'oa': float(np.mean(agreements)), **semantic_scores(sum(histograms))}


@METRICS.register_module()
class DamageMetric(ChangeMetric):
    """F1 of the buildings' location, of their damage and of both; see `damage_scores`.

    Damage counts on the pixels of true buildings, whether they were found or not.
    """

    default_prefix = 'damage'
    OUTPUTS = ('building', 'damage')
    GRADES = ('none', 'minor', 'major', 'destroyed')

    def count(self, maps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """See `ChangeMetric.count`."""
        truth = maps['gt_building']
        there = (truth > 0) & (truth != IGNORE)
        return (
            confusion(truth, maps['pred_building'], 2),
            confusion(maps['gt_damage'][there], maps['pred_damage'][there], 5),
        )

    def compute_metrics(self, results: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """The scores; F1 of each grade as `f1_none`, `f1_minor`, `f1_major`, `f1_destroyed`."""
        building, damage = (sum(matrices) for matrices in zip(*results, strict=True))
        scores = damage_scores(building, damage)
        grades = scores.pop('f1_damage')
        return scores | {f'f1_{name}': float(f1) for name, f1 in zip(self.GRADES, grades)}
