"""mmdet's CocoMetric that can score nothing found, and say what its scores are made of."""

from collections.abc import Sequence
from pathlib import Path

from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.fileio import load

from mamba_dense.detection.curves import (
    CONFUSION,
    CURVES,
    confusion,
    precision_recall,
    results,
    write_confusion,
    write_curves,
)
from mamba_dense.registry import METRICS

_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
# metrics that can write curves, or what takes their place
_SERVED = {
    'CocoMetric': 'mamba_dense.CocoScores',
    'mmdet.CocoMetric': 'mamba_dense.CocoScores',
    'mamba_dense.CocoScores': 'mamba_dense.CocoScores',
    'mamba_dense.CocoScoresPerImage': 'mamba_dense.CocoScoresPerImage',
}


@METRICS.register_module()
class CocoScores(CocoMetric):
    """CocoMetric whose scores are 0, not absent, where no object was found.

    Args:
        ann_file, metric, classwise, proposal_nums, iou_thrs, metric_items, format_only,
            outfile_prefix, backend_args, collect_device, prefix, sort_categories, use_mp_eval: as
            mmdet's.
        out_dir: folder in which each evaluation leaves KIND/precision_recall.csv and
            KIND/confusion.csv, KIND being 'bbox' and 'segm'; None writes nothing. See
            `curves.precision_recall` and `curves.confusion`.
        score: least score of the detections in the confusion matrix.
        iou: least IoU at which a detection is taken for an object there.

    Raises:
        ValueError: `score` or `iou` is not within 0 and 1.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = 'bbox',
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
        *,
        out_dir: str | None = None,
        score: float = 0.3,
        iou: float = 0.5,
    ):
        for name, value in (('score', score), ('iou', iou)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} must lie between 0 and 1')
        super().__init__(
            ann_file=ann_file,
            metric=metric,
            classwise=classwise,
            proposal_nums=proposal_nums,
            iou_thrs=iou_thrs,
            metric_items=metric_items,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
            sort_categories=sort_categories,
            use_mp_eval=use_mp_eval,
        )
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.score, self.iou = score, iou
        self._found: dict[str, list[dict]] = {}

    @property
    def kinds(self) -> list[str]:
        """What is scored, of 'bbox' and 'segm'."""
        return [kind for kind in self.metrics if kind in ('bbox', 'segm')]

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """mmdet's, remembering the records where they are wanted later."""
        files = super().results2json(results, outfile_prefix)
        if self.out_dir is not None:
            self._found = {kind: load(files[kind]) for kind in self.kinds if kind in files}
        return files

    def compute_metrics(self, results: list) -> dict[str, float]:
        """mmdet's scores by their names, those that it left out as 0; writes to `out_dir`."""
        scores = dict(super().compute_metrics(results))
        if self.format_only:
            return scores
        if self.out_dir is not None:
            for kind in self.kinds:
                self._write(kind)
            self._found = {}
        names = [f'{kind}_{item}' for kind in self.kinds for item in self.metric_items or _ITEMS]
        return {**dict.fromkeys(names, 0.0), **scores}

    def _write(self, kind: str) -> None:
        truth = self._coco_api
        found = results(truth, self._found.get(kind, ()))
        data = (truth, found, kind, self.cat_ids, self.img_ids)
        points = precision_recall(*data, self.proposal_nums[-1])
        counts = confusion(*data, score=self.score, iou=self.iou)
        names = [truth.cats[cat_id]['name'] for cat_id in self.cat_ids]
        write_curves(self.out_dir / kind / CURVES, points)
        write_confusion(
            self.out_dir / kind / CONFUSION, counts, names, score=self.score, iou=self.iou
        )


def use_curves(cfg: Config, out_dir: Path, *, score: float, iou: float) -> bool:
    """Let the COCO metrics of `cfg.test_evaluator` print classes and write to `out_dir`, in place.

    Returns:
        Whether there is such a metric.
    """
    evaluator = cfg.get('test_evaluator') or []
    chosen = [
        item
        for item in (evaluator if isinstance(evaluator, list) else [evaluator])
        if item.get('type') in _SERVED
    ]
    for item in chosen:
        item.update(
            type=_SERVED[item['type']],
            classwise=True,
            out_dir=str(out_dir),
            score=score,
            iou=iou,
        )
    return bool(chosen)
