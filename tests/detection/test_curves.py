"""Precision-recall curves and confusion of detections that can be counted by hand."""

import csv

import numpy as np
import pytest

pytest.importorskip('mmdet', reason='needs the extra det')

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from pycocotools import mask as coco_masks

from mamba_dense.detection.curves import confusion, precision_recall, results
from mamba_dense.detection.metrics import CocoScores, use_curves

CLASSES = ('cat', 'dog', 'emu')
SIDE = 40


def box(number):
    """The box of place `number`, ten pixels square, none touches another."""
    return [12 * (number % 3), 12 * (number // 3), 10, 10]


def mask(number):
    pixels = np.zeros((SIDE, SIDE), np.uint8, order='F')
    left, top, width, height = box(number)
    pixels[top : top + height, left : left + width] = 1
    code = coco_masks.encode(pixels)
    return {'size': code['size'], 'counts': code['counts'].decode()}


def truth(*labels, crowd=()):
    """One image with an object of these classes at places 0, 1, ...; 'emu' never occurs."""
    from mmdet.datasets.api_wrappers import COCO

    coco = COCO()
    coco.dataset = {
        'info': {},
        'images': [{'id': 1, 'width': SIDE, 'height': SIDE, 'file_name': 'a.png'}],
        'categories': [{'id': 10 + n, 'name': name} for n, name in enumerate(CLASSES)],
        'annotations': [
            {
                'id': 1 + number,
                'image_id': 1,
                'category_id': 10 + CLASSES.index(label),
                'bbox': box(number),
                'area': 100,
                'segmentation': mask(number),
                'iscrowd': int(number in crowd),
            }
            for number, label in enumerate(labels)
        ],
    }
    coco.createIndex()
    return coco


def guess(number, label, score):
    """A detection at place `number`."""
    return {
        'image_id': 1,
        'category_id': 10 + CLASSES.index(label),
        'bbox': box(number),
        'segmentation': mask(number),
        'score': score,
    }


def counted(coco, *guesses, kind='bbox', score=0.3, iou=0.5):
    found = results(coco, guesses)
    return confusion(coco, found, kind, [10, 11, 12], [1], score=score, iou=iou).tolist()


def curve(coco, *guesses, kind='bbox'):
    rows = precision_recall(coco, results(coco, guesses), kind, [10, 11, 12], [1], 100)
    curves = {}
    for row in rows:
        curves.setdefault((row['class'], row['iou']), []).append(row['precision'])
    return curves


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
class TestBoth:
    def test_a_perfect_detector(self, kind):
        coco = truth('cat', 'dog', 'cat')
        guesses = [guess(0, 'cat', 0.9), guess(1, 'dog', 0.8), guess(2, 'cat', 0.7)]
        curves = curve(coco, *guesses, kind=kind)
        # emu has no objects and so no curve
        assert set(curves) == {(name, iou) for name in ('cat', 'dog') for iou in (0.5, 0.75)}
        assert all(points == [1.0] * 101 for points in curves.values())
        matrix = counted(coco, *guesses, kind=kind)
        assert matrix == [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]

    def test_swapped_classes(self, kind):
        coco = truth('cat', 'dog')
        guesses = [guess(0, 'dog', 0.9), guess(1, 'cat', 0.8)]
        matrix = counted(coco, *guesses, kind=kind)
        assert matrix == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        assert all(points == [0.0] * 101 for points in curve(coco, *guesses, kind=kind).values())

    def test_missed_and_made_up(self, kind):
        matrix = counted(truth('cat', 'dog'), guess(0, 'cat', 0.9), guess(8, 'emu', 0.5), kind=kind)
        assert matrix == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]

    def test_nothing_found(self, kind):
        coco = truth('cat', 'dog')
        assert counted(coco, kind=kind)[0] == [0, 0, 0, 1]
        assert all(points == [0.0] * 101 for points in curve(coco, kind=kind).values())


def test_a_curve_between_right_and_wrong():
    """Right, wrong, right of two cats: precision 1 up to recall 0.5, then 2 of 3."""
    guesses = [guess(0, 'cat', 0.9), guess(8, 'cat', 0.8), guess(1, 'cat', 0.7)]
    points = curve(truth('cat', 'cat'), *guesses)['cat', 0.5]
    assert points == [1.0] * 51 + [0.6667] * 50


def test_the_iou_decides():
    """A box moved by two of ten pixels has IoU 80 / 120."""
    moved = {**guess(0, 'cat', 0.9), 'bbox': [2, 0, 10, 10]}
    curves = curve(truth('cat'), moved)
    assert curves['cat', 0.5] == [1.0] * 101
    assert curves['cat', 0.75] == [0.0] * 101
    assert counted(truth('cat'), moved, iou=0.6)[0] == [1, 0, 0, 0]
    assert counted(truth('cat'), moved, iou=0.7)[0] == [0, 0, 0, 1]


def test_the_score_decides_and_doubles_are_made_up():
    pair = [guess(0, 'cat', 0.9), guess(0, 'dog', 0.4)]
    assert counted(truth('cat'), *pair) == [[1, 0, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]
    assert counted(truth('cat'), *pair, score=0.5)[3] == [0, 0, 0, 0]
    assert counted(truth('cat'), *pair, score=0.95)[0] == [0, 0, 0, 1]


def test_crowds_are_left_out():
    coco = truth('cat', 'dog', crowd=(1,))
    matrix = counted(coco, guess(0, 'cat', 0.9), guess(1, 'cat', 0.8), guess(1, 'dog', 0.7))
    assert matrix == [[1, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]


def sample(*guesses):
    """A data sample as mmdet's detectors give it."""
    boxes = torch.tensor([g['bbox'] for g in guesses], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [coco_masks.decode(g['segmentation']) for g in guesses]
    found = InstanceData(
        bboxes=boxes,
        scores=torch.tensor([g['score'] for g in guesses]),
        labels=torch.tensor([g['category_id'] - 10 for g in guesses], dtype=torch.long),
        masks=torch.from_numpy(np.array(masks).reshape(-1, SIDE, SIDE)).bool(),
    )
    return {'pred_instances': found, 'img_id': 1, 'ori_shape': (SIDE, SIDE)}


def evaluate(coco, tmp_path, *guesses):
    import json

    (tmp_path / 'truth.json').write_text(json.dumps(coco.dataset))
    metric = CocoScores(
        ann_file=str(tmp_path / 'truth.json'),
        metric=['bbox', 'segm'],
        out_dir=str(tmp_path / 'evaluation'),
    )
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, [sample(*guesses)])
    return metric.evaluate(1)


def table(path):
    return list(csv.reader(path.open(newline='')))


@pytest.mark.parametrize('guesses', [0, 2])
def test_the_metric_writes_its_tables(tmp_path, guesses):
    chosen = [guess(0, 'cat', 0.9), guess(1, 'dog', 0.8)][:guesses]
    scores = evaluate(truth('cat', 'dog'), tmp_path, *chosen)
    best = float(guesses > 0)
    assert scores['coco/bbox_mAP_50'] == scores['coco/segm_mAP_75'] == best
    for kind in ('bbox', 'segm'):
        rows = table(tmp_path / 'evaluation' / kind / 'precision_recall.csv')
        assert rows[0] == ['class', 'iou', 'recall', 'precision', 'score']
        assert len(rows) == 1 + 2 * 2 * 101
        assert {float(row[3]) for row in rows[1:]} == {best}
        rows = table(tmp_path / 'evaluation' / kind / 'confusion.csv')
        terms = 'true class; score at least 0.3, IoU at least 0.5'
        assert rows[0] == [terms, *CLASSES, 'background']
        assert rows[1] == ['cat', *(['1', '0', '0', '0'] if guesses else ['0', '0', '0', '1'])]
        assert rows[4] == ['background', '0', '0', '0', '0']


def test_the_drawings(tmp_path):
    from mamba_dense.apis.detection_report import read_evaluation, write_drawings

    evaluate(truth('cat', 'dog'), tmp_path, guess(0, 'cat', 0.9), guess(1, 'cat', 0.8))
    drawn = write_drawings(tmp_path / 'evaluation', 'a <test>')
    names = {path.relative_to(tmp_path / 'evaluation').as_posix() for path in drawn}
    assert {
        'bbox/confusion.svg',
        'segm/precision_recall.svg',
        'bbox/precision_recall/001_cat.svg',
        'segm/precision_recall/002_dog.svg',
    } <= names
    assert len(names) == 8
    import xml.etree.ElementTree as tree

    for path in drawn:
        text = path.read_text()
        assert tree.fromstring(text).tag == '{http://www.w3.org/2000/svg}svg'
        assert 'a &lt;test&gt;' in text and 'var(' not in text
    boxes, _ = read_evaluation(tmp_path / 'evaluation')
    assert [line.name for line in boxes.lines('cat')] == ['IoU 0.5: AP 100.0', 'IoU 0.75: AP 100.0']
    assert [line.name for line in boxes.lines()] == ['IoU 0.5: AP 50.0', 'IoU 0.75: AP 50.0']
    assert boxes.terms == 'score at least 0.3, IoU at least 0.5'
    assert 'score at least 0.3' in (tmp_path / 'evaluation/bbox/confusion.svg').read_text()
    assert boxes.counts[1].tolist() == [1, 0, 0, 0]


def test_evaluators_of_a_config(tmp_path):
    coco = {'type': 'CocoMetric', 'ann_file': 'a.json', 'metric': 'bbox'}
    cfg = Config({'test_evaluator': [coco, {'type': 'DumpDetResults', 'out_file_path': 'a.pkl'}]})
    assert use_curves(cfg, tmp_path, score=0.4, iou=0.6)
    first, second = cfg.test_evaluator
    assert (first.type, first.classwise, first.score, first.iou) == (
        'mamba_dense.CocoScores', True, 0.4, 0.6
    )  # fmt: skip
    assert 'out_dir' not in second
    assert not use_curves(
        Config({'test_evaluator': {'type': 'VOCMetric'}}), tmp_path, score=0, iou=0
    )
    with pytest.raises(ValueError, match='iou=1.5 must lie between 0 and 1'):
        CocoScores(iou=1.5)
