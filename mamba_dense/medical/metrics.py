"""The scores of `medical/scores.py` as metrics of a runner."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mamba_dense.medical.scores import Counts
from mamba_dense.registry import METRICS

SCORES = {
    'mIoU': 'iou',
    'DSC': 'dice',
    'Accuracy': 'accuracy',
    'Sensitivity': 'sensitivity',
    'Specificity': 'specificity',
}


@METRICS.register_module()
class PooledScores(BaseMetric):
    """Foreground against the rest, all pixels of all images pooled, in percent (VM-UNet on ISIC).

    `mIoU` is the foreground's IoU: the authors' name for it. A class that no image has counts by
    the stated values of `scores.Counts`.

    Args:
        foreground: class numbers scored; with several, each is scored apart and their mean given.
        ignore_index: label of pixels that do not count.
        collect_device, prefix: of mmengine.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        foreground: Sequence[int] = (1,),
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.foreground = tuple(foreground)
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Count one batch of mmseg's samples."""
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            valid = truth != self.ignore_index
            self.results.append(
                [Counts.of(predicted == i, truth == i, valid) for i in self.foreground]
            )

    def compute_metrics(self, results: list[list[Counts]]) -> dict[str, float]:
        """The scores of all images, in percent."""
        pooled = [sum(column, Counts()) for column in zip(*results, strict=True)]
        found = {}
        for name, attribute in SCORES.items():
            values = [100 * getattr(counts, attribute) for counts in pooled]
            found[name] = round(sum(values) / len(values), 3)
            if len(values) > 1:
                each = zip(self.foreground, values, strict=True)
                found |= {f'{name}.{self._name(i)}': round(value, 3) for i, value in each}
        return found

    def _name(self, index: int) -> str:
        classes = (self.dataset_meta or {}).get('classes') or ()
        return classes[index] if index < len(classes) else str(index)
