"""Scores of pictures one by one, averaged, as metrics of a runner: endoscopy and microscopy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mamba_dense.medical.instances import connected, picture_instances
from mamba_dense.medical.surface_dice import present_scores
from mamba_dense.registry import METRICS


def _maps(sample: dict) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth (H, W) of one of mmseg's samples."""
    keys = 'pred_sem_seg', 'gt_sem_seg'
    return tuple(sample[key]['data'].squeeze(0).cpu().numpy() for key in keys)


@METRICS.register_module()
class PresentScores(BaseMetric):
    """Dice and surface Dice of the labels of each picture, in percent; see `present_scores`.

    U-Mamba's and xLSTM-UNet's scores on Endovis17.

    Args:
        tolerance: of the surface Dice, in pixels.
        ignore_index: label of pixels that do not count: they are taken as label 0 in both maps.
        collect_device, prefix: of mmengine.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        tolerance: float = 2.0,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.tolerance = tolerance
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Score one batch of mmseg's samples."""
        for sample in data_samples:
            predicted, truth = _maps(sample)
            lost = truth == self.ignore_index
            maps = (np.where(lost, 0, labels) for labels in (predicted, truth))
            self.results.append(present_scores(*maps, self.tolerance))

    def compute_metrics(self, results: list[tuple[float, float]]) -> dict[str, float]:
        """Means over the pictures, in percent."""
        dice, surface = (100 * np.mean(column) for column in zip(*results, strict=True))
        return {'DSC': round(float(dice), 3), 'NSD': round(float(surface), 3)}


@METRICS.register_module()
class InstanceF1(BaseMetric):
    """F1 of a class's connected components in each picture, mean and median, in percent.

    U-Mamba's and xLSTM-UNet's score on microscopy; see `picture_instances`.

    Args:
        interior: number of the class whose components are the instances.
        threshold: the IoU from which an instance is found.
        collect_device, prefix: of mmengine.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        interior: int = 1,
        threshold: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.interior = interior
        self.threshold = threshold

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Score one batch of mmseg's samples."""
        for sample in data_samples:
            maps = [connected(labels == self.interior) for labels in _maps(sample)]
            self.results.append(picture_instances(*maps, self.threshold).f1)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Mean and median over the pictures, in percent."""
        return {
            'F1': round(100 * float(np.mean(results)), 3),
            'F1_median': round(100 * float(np.median(results)), 3),
        }
