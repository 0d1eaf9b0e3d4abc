"""The report's part on detectors: runs are found in work folders and shown with what they left."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mamba_dense.apis import init_model
from mamba_dense.apis.detection_demo import detection_sections, find_runs
from mamba_dense.apis.run_log import log_rows, points
from mamba_dense.detection.curves import write_confusion, write_curves

MASKS, BOXES = 'vmamba-nano_mask-rcnn_nuclei', 'vmamba-nano_retinanet_trees'


def write_log(work, stamp, rows):
    log = work / stamp / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps(row) for row in rows) + '\n')


def write_run(work, name, scores):
    """A work folder as tools/train.py and tools/test.py leave it, of an untrained network."""
    torch.manual_seed(0)
    model = init_model(name, device='cpu')
    work.mkdir(parents=True)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, work / 'iter_20.pth')
    (work / 'last_checkpoint').write_text('/where/it/was/trained/iter_20.pth')
    named = {f'coco/{key}': value for key, value in scores.items()}
    rows = [{'step': 10, 'loss': 2.5}, {'step': 20, 'loss': 1.5}, {'step': 20, **named}]
    write_log(work, '20260101_000000', rows)


@pytest.fixture
def folder(tmp_path):
    boxes = {'bbox_mAP': 0.2, 'bbox_mAP_50': 0.5125, 'bbox_mAP_75': 0.1}
    write_run(tmp_path / 'runs' / BOXES, BOXES, boxes)
    write_run(tmp_path / 'runs' / MASKS, MASKS, {**boxes, 'segm_mAP': 0.6, 'segm_mAP_50': 0.9371})
    line = {'class': 'nucleus', 'iou': 0.5, 'precision': 1.0, 'score': 0.9}
    rows = [{**line, 'recall': recall / 100} for recall in range(101)]
    place = tmp_path / 'runs' / MASKS / 'evaluation' / 'segm'
    write_curves(place / 'precision_recall.csv', rows)
    counts = np.array([[25, 3], [2, 0]])
    write_confusion(place / 'confusion.csv', counts, ['nucleus'], score=0.3, iou=0.5)
    return tmp_path / 'runs'


def test_runs_are_found(folder, tmp_path):
    runs = find_runs((tmp_path / 'absent', folder))
    assert [run.config.stem for run in runs] == [MASKS, BOXES]
    assert [run.sample for run in runs] == ['nuclei_instances', 'trees']
    assert runs[0].scores['segm_mAP_50'] == pytest.approx(93.71)
    assert [item.kind for item in runs[0].evaluation] == ['segm']
    (folder / MASKS / 'iter_20.pth').unlink()
    assert [run.config.stem for run in find_runs((folder,))] == [BOXES]


def test_sections_show_them(folder, tmp_path):
    sections = detection_sections(find_runs((folder,)), tmp_path / 'out')
    assert [heading for heading, _ in sections] == ['Detection', MASKS, BOXES]
    table, masks, boxes = (inner for _, inner in sections)
    assert '93.7' in table and '51.2' in table and '2.76 M' in table
    assert masks.count('<img') == 2 and boxes.count('<img') == 4
    assert '28 labelled objects' in masks and '45 labelled objects' in boxes
    assert 'IoU 0.5: AP 100.0' in masks and '>25</text>' in masks
    assert 'score at least 0.3, IoU at least 0.5' in masks and 'found as' not in boxes
    drawn = {path.name for path in (tmp_path / 'out' / 'detection' / BOXES).iterdir()}
    assert drawn == {'OSBS_029_val.png', '2019_YELL_2_541000_4977000_image_crop_val.png'}


def test_no_run_says_how():
    ((heading, inner),) = detection_sections([], None)
    assert heading == 'Detection' and 'tools/demo.py --detection' in inner


def test_a_log_of_resumed_runs(tmp_path):
    write_log(
        tmp_path, 'a', [{'step': 1, 'loss': 5}, {'step': 2, 'loss': 4}, {'step': 3, 'loss': 3}]
    )
    write_log(tmp_path, 'b', [{'step': 3, 'loss': 2.5}, {'step': 4, 'loss': 2}])
    assert points(log_rows(tmp_path), 'loss', 2) == [(1, 10), (2, 8), (3, 5), (4, 4)]
    with pytest.raises(FileNotFoundError, match='left no vis_data'):
        log_rows(tmp_path / 'absent')
