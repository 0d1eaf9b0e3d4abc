"""mmseg's IoUMetric with each class's scores among the results, for hooks and reports."""

import numpy as np
from mmseg.evaluation import IoUMetric

from mamba_dense.registry import METRICS


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """IoUMetric that also returns `Dice.CLASS`, `IoU.CLASS`, ... (percent); same arguments."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The means of mmseg, then one entry for each metric and class."""
        metrics = dict(super().compute_metrics(results))
        if self.format_only:
            return metrics
        areas = [sum(area) for area in zip(*results, strict=True)]
        scores = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        for name, values in scores.items():
            if name == 'aAcc':
                continue
            for label, value in zip(self.dataset_meta['classes'], values, strict=True):
                metrics[f'{name}.{label}'] = float(np.round(value * 100, 2))
        return metrics
