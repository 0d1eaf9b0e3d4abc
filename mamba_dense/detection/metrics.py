"""mmdet's CocoMetric with scores for a network that has found nothing yet, and for each picture."""

from pathlib import Path

from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger

from mamba_dense.registry import METRICS

_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
_PER_IMAGE = ('mAP', 'mAP_50')


@METRICS.register_module()
class CocoScores(CocoMetric):
    """CocoMetric whose scores are 0, not absent, where no object was found; same arguments."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """mmdet's scores by their names, those that it left out as 0."""
        scores = dict(super().compute_metrics(results))
        if not self.format_only:
            names = [f'{k}_{item}' for k in self._kinds() for item in self.metric_items or _ITEMS]
            scores = {**dict.fromkeys(names, 0.0), **scores}
        return scores

    def _kinds(self) -> list[str]:
        return [kind for kind in self.metrics if kind in ('bbox', 'segm')]


@METRICS.register_module()
class CocoScoresPerImage(CocoScores):
    """CocoScores and the same of every picture alone; same arguments.

    For a few pictures that differ. `bbox_mAP_50_NAME` is the score on the picture of that file
    name; a picture without objects has none.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores over all pictures, then mAP and mAP_50 of each."""
        scores = super().compute_metrics(results)
        if self.format_only:
            return scores
        together = (self.img_ids, self.outfile_prefix)
        self.outfile_prefix = None  # the file of all pictures' results stays
        for picture in self._coco_api.load_imgs(self.img_ids):
            if not self._coco_api.get_ann_ids(img_ids=[picture['id']]):
                continue
            name = Path(picture['file_name']).stem
            MMLogger.get_current_instance().info(f'{name} alone:')
            self.img_ids = [picture['id']]
            alone = super().compute_metrics([r for r in results if r[0]['img_id'] in self.img_ids])
            for item in [f'{k}_{item}' for k in self._kinds() for item in _PER_IMAGE]:
                if item in alone:
                    scores[f'{item}_{name}'] = alone[item]
        self.img_ids, self.outfile_prefix = together
        return scores
