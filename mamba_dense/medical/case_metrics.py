"""Scores of whole cases in the geometry of their files, as a metric of a runner."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mamba_dense.medical.cases import Truth
from mamba_dense.medical.scores import Counts, hausdorff95
from mamba_dense.medical.surface_dice import area_surface_dice
from mamba_dense.registry import METRICS
from mamba_dense.weights.save import atomic_write

# score -> its name in tables
NAMES = {'dice': 'Dice', 'hd95': 'HD95', 'nsd': 'NSD'}
TABLE = 'case_scores.csv'


@METRICS.register_module()
class CaseScores(BaseMetric):
    """Dice, HD95 (mm) and normalised surface Dice of each class and case, in the files' geometry.

    The mean is over the cases of a class, then over the classes of the foreground; `Dice.NAME` is
    that of one class. Every class and case stands in `case_scores.csv` beside the run's log, each
    evaluation in place of the one before.

    Dice and HD95 are those of `medical/scores.py` (MONAI's Dice is not defined where both masks are
    empty, its HD95 takes the larger of two percentiles, medpy's the percentile of both surfaces).
    NSD is `area_surface_dice`, MONAI's with subvoxels.

    Where a mask is empty: both, 1, 0 mm and 1; one of the two, 0, the diagonal of the volume in mm,
    and 0.

    Args:
        scores: of 'dice', 'hd95' and 'nsd'.
        tolerance: of NSD in mm, one or one for each class of the foreground.
        out: folder of the table; None is that of the run's log, without a run nothing is written.
        collect_device, prefix: of mmengine.

    Raises:
        ValueError: an unknown score, or none.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        scores: Sequence[str] = tuple(NAMES),
        tolerance: float | Sequence[float] = 1.0,
        out: str | Path | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = [score for score in scores if score not in NAMES]
        if unknown or not scores:
            raise ValueError(f'scores={tuple(scores)}: known are {", ".join(NAMES)}; give some.')
        self.scores = tuple(scores)
        self.tolerance = tolerance
        self.out = None if out is None else Path(out)

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[dict]) -> None:
        """Score whole cases of `VolumeSegmentor`, with the truth that `CaseDataset` gives.

        Raises:
            ValueError: a case without a mask.
        """
        for sample, truth in zip(data_samples, data_batch['truth'], strict=True):
            if truth is None:
                raise ValueError(
                    f'case {sample["case"]} has no mask to compare with; score a split that has '
                    'masks (labelsTr or labelsTs), tools/infer.py predicts the others.'
                )
            found = truth.preparation.restore(sample['scores'].numpy(), truth.geometry)
            classes = max(len(sample['scores']), 2)
            rows = [self._row(found == i, truth.labels == i, truth, i) for i in range(1, classes)]
            self.results.append((sample['case'], rows))

    def compute_metrics(self, results: list[tuple[str, list[dict]]]) -> dict[str, float]:
        """The means; the table of all cases goes to the folder of the log."""
        self._write(results)
        found = {}
        for score in self.scores:
            values = np.array([[row[score] for row in rows] for _, rows in results])
            each = values.mean(axis=0)  # (class,)
            found[NAMES[score]] = round(float(each.mean()), 5)
            if len(each) > 1:
                for i, value in enumerate(each, 1):
                    found[f'{NAMES[score]}.{self._name(i)}'] = round(float(value), 5)
        return found

    def _row(
        self, found: np.ndarray, label: np.ndarray, truth: Truth, number: int
    ) -> dict[str, float]:
        row = {}
        if 'dice' in self.scores:
            row['dice'] = Counts.of(found, label).dice
        if 'hd95' in self.scores:
            distance = hausdorff95(found, label, truth.spacing)
            lengths = (n * mm for n, mm in zip(label.shape, truth.spacing, strict=True))
            row['hd95'] = distance if math.isfinite(distance) else math.hypot(*lengths)
        if 'nsd' in self.scores:
            row['nsd'] = area_surface_dice(found, label, self._tolerance(number), truth.spacing)
        return row

    def _tolerance(self, number: int) -> float:
        if isinstance(self.tolerance, int | float):
            return self.tolerance
        if number > len(self.tolerance):
            raise ValueError(
                f'tolerance={tuple(self.tolerance)} has none for class {number}; give one for each '
                'class of the foreground, or one for all.'
            )
        return self.tolerance[number - 1]

    def _write(self, results: Sequence[tuple[str, Sequence[dict]]]) -> None:
        log = MMLogger.get_current_instance().log_file
        folder = self.out or (Path(log).parent if log else None)
        if folder is None:
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator='\n')
        table.writerow(['case', 'class', *(NAMES[score] for score in self.scores)])
        for case, rows in results:
            for i, row in enumerate(rows, 1):
                numbers = (f'{row[score]:.5f}' for score in self.scores)
                table.writerow([case, self._name(i), *numbers])
        atomic_write(folder / TABLE, lambda part: part.write_text(text.getvalue()))

    def _name(self, index: int) -> str:
        classes = (self.dataset_meta or {}).get('classes') or ()
        return classes[index] if index < len(classes) else str(index)
