"""COCO scores of every picture alone, for small sets of pictures that differ."""

from pathlib import Path

from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger

from mamba_dense.detection.metrics import CocoScores
from mamba_dense.registry import METRICS

_ITEMS = ('mAP', 'mAP_50')


@METRICS.register_module()
class CocoScoresPerImage(CocoScores):
    """CocoScores and the same of every picture alone; same arguments.

    `bbox_mAP_50_NAME` is the score on the picture of that file name; a picture without objects
    has none.
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
            found = [pair for pair in results if pair[0]['img_id'] == picture['id']]
            alone = CocoMetric.compute_metrics(self, found)
            for kind in self.metrics:
                if kind in ('bbox', 'segm'):
                    for item in _ITEMS:
                        score = alone.get(f'{kind}_{item}', 0.0)  # mmdet has none for no box at all
                        scores[f'{kind}_{item}_{name}'] = score
        self.img_ids, self.outfile_prefix = together
        return scores
