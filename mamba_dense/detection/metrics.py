"""mmdet's CocoMetric with scores for a network that has found nothing yet."""

from mmdet.evaluation import CocoMetric

from mamba_dense.registry import METRICS

_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@METRICS.register_module()
class CocoScores(CocoMetric):
    """CocoMetric whose scores are 0, not absent, where no object was found; same arguments."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """mmdet's scores by their names, those that it left out as 0."""
        scores = dict(super().compute_metrics(results))
        if not self.format_only:
            kinds = [kind for kind in self.metrics if kind in ('bbox', 'segm')]
            names = [f'{kind}_{item}' for kind in kinds for item in self.metric_items or _ITEMS]
            scores = {**dict.fromkeys(names, 0.0), **scores}
        return scores
