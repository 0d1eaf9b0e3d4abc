"""Scores of every picture alone, and where nothing or no object is there."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmengine.config import Config

from mamba_dense.detection.metrics import use_curves
from mamba_dense.registry import METRICS

BOXES = {1: [(10, 10, 40, 40), (50, 50, 90, 80)], 2: [(0, 0, 30, 30)], 3: []}


@pytest.fixture
def ann_file(tmp_path):
    names = {1: 'near.png', 2: 'sub/far.png', 3: 'empty.png'}
    annotations = [
        dict(
            id=10 * number + k,
            image_id=number,
            category_id=1,
            bbox=[x, y, right - x, bottom - y],
            area=(right - x) * (bottom - y),
            iscrowd=0,
        )
        for number, boxes in BOXES.items()
        for k, (x, y, right, bottom) in enumerate(boxes)
    ]
    images = [dict(id=n, file_name=name, width=100, height=100) for n, name in names.items()]
    path = tmp_path / 'val.json'
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='tree')])
    path.write_text(json.dumps(content))
    return str(path)


def scores(ann_file, found, kind='CocoScoresPerImage', **options):
    """The scores where the network found the boxes `found[image]`."""
    metric = METRICS.build(dict(type=f'mamba_dense.{kind}', ann_file=ann_file, **options))
    metric.dataset_meta = dict(classes=('tree',))
    for number in BOXES:
        boxes = torch.tensor(found.get(number, []), dtype=torch.float32).reshape(-1, 4)
        pred = dict(
            bboxes=boxes, scores=torch.full((len(boxes),), 0.9), labels=torch.zeros(len(boxes))
        )
        pred['labels'] = pred['labels'].long()
        sample = dict(img_id=number, ori_shape=(100, 100), pred_instances=pred)
        metric.process({}, [sample])
    return metric.evaluate(len(BOXES))


def test_every_picture_has_its_score(ann_file):
    right, wrong = BOXES[1], [(60, 60, 99, 99)]
    found = scores(ann_file, {1: right, 2: wrong})
    assert found['coco/bbox_mAP_50_near'] == found['coco/bbox_mAP_near'] == 1
    assert found['coco/bbox_mAP_50_far'] == 0
    assert not [name for name in found if 'empty' in name]
    assert 0 < found['coco/bbox_mAP_50'] < 1
    together = scores(ann_file, {1: right, 2: wrong}, kind='CocoScores')
    assert {name: found[name] for name in together} == together
    assert not [name for name in together if 'near' in name]


def test_the_file_of_results_keeps_every_picture(ann_file, tmp_path):
    scores(ann_file, {1: BOXES[1], 2: BOXES[2]}, outfile_prefix=str(tmp_path / 'out'))
    results = json.loads((tmp_path / 'out.bbox.json').read_text())
    assert {entry['image_id'] for entry in results} == {1, 2}


def test_nothing_found(ann_file):
    found = scores(ann_file, {})
    assert found['coco/bbox_mAP_50'] == found['coco/bbox_mAP_50_near'] == 0
    found = scores(ann_file, {1: BOXES[1]})
    assert (found['coco/bbox_mAP_50_near'], found['coco/bbox_mAP_50_far']) == (1, 0)
    assert all(np.isfinite(value) for value in found.values())


def test_curves_are_of_all_pictures(ann_file, tmp_path):
    """tools/test.py's files beside the scores of every picture: those of the whole set."""
    served = Config(dict(test_evaluator=dict(type='mamba_dense.CocoScoresPerImage')))
    assert use_curves(served, tmp_path, score=0.3, iou=0.5)
    assert served.test_evaluator.type == 'mamba_dense.CocoScoresPerImage'
    files = {}
    for kind in ('CocoScores', 'CocoScoresPerImage'):
        scores(ann_file, {1: BOXES[1], 2: BOXES[2]}, kind=kind, out_dir=str(tmp_path / kind))
        files[kind] = (tmp_path / kind / 'bbox' / 'confusion.csv').read_text()
    assert files['CocoScores'] == files['CocoScoresPerImage']
