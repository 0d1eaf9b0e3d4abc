"""What detectors find in pictures: arrays, JSON and overlays."""

import json

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from pycocotools import mask as coco_masks

from mamba_dense.apis import Instances, infer, init_model
from mamba_dense.apis.folder import Options, predict_folder
from mamba_dense.apis.instances import as_records, draw, run_lengths

MASKS, BOXES = 'vmamba-nano_mask-rcnn_nuclei', 'vmamba-nano_retinanet_trees'
SIZE = (70, 93)


def picture(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.fixture(scope='module', params=[MASKS, BOXES])
def model(request):
    """A detector of random weights that calls many things objects."""
    torch.manual_seed(0)
    model = init_model(request.param, device='cpu')
    model.init_weights()
    for settings in (model.test_cfg, model.test_cfg.get('rcnn') or {}):
        settings.update(score_thr=0.0, max_per_img=7)
    return model


def found(masks=True):
    """Two objects that overlap."""
    areas = np.zeros((2, *SIZE), bool)
    areas[0, 10:30, 20:60] = True
    areas[1, 20:50, 50:93] = True
    boxes = np.array([[20, 10, 60, 30], [50, 20, 93, 50]], np.float32)
    scores = np.array([0.9, 0.4], np.float32)
    return Instances(boxes, np.array([0, 1]), scores, areas if masks else None, SIZE)


@pytest.mark.parametrize('shape', [SIZE, (*SIZE, 3), (*SIZE, 4)], ids=['grey', 'colour', 'alpha'])
def test_objects_of_a_picture(model, shape):
    result = infer(model, picture(*shape))
    assert isinstance(result, Instances)
    assert result.size == SIZE
    assert 0 < len(result.scores) <= 7
    assert (np.diff(result.scores) <= 0).all()
    assert result.boxes.shape == (len(result.scores), 4)
    assert (result.boxes[:, :2] >= 0).all()
    assert (result.boxes[:, 2:] <= [SIZE[1] + 1e-3, SIZE[0] + 1e-3]).all()
    assert set(result.labels.tolist()) == {0}
    if hasattr(model, 'roi_head'):
        assert result.masks.shape == (len(result.scores), *SIZE)
        assert result.masks.dtype == bool
    else:
        assert result.masks is None


def test_nothing_found(model):
    none = infer(model, picture(*SIZE)).above(1.1)
    assert len(none.boxes) == len(none.labels) == 0
    assert not none.covered().any()
    assert as_records(none, ['nucleus']) == []
    assert draw(picture(*SIZE, 3), none, np.zeros((1, 3), np.uint8)).shape == (*SIZE, 3)


def test_tiles_are_refused(model):
    with pytest.raises(ValueError, match='tile=64: tiles are of segmentation'):
        infer(model, picture(*SIZE), tile=64)


def test_records_are_cocos():
    first, second = as_records(found(), ['cell', 'other'])
    assert (first['class'], first['score'], first['box']) == ('cell', 0.9, [20, 10, 60, 30])
    assert second['class'] == 'other'
    for record, mask in zip((first, second), found().masks, strict=True):
        coded = coco_masks.frPyObjects(record['mask'], *SIZE)
        assert (coco_masks.decode(coded) == mask).all()
    assert 'mask' not in as_records(found(masks=False), ['cell', 'other'])[0]
    assert run_lengths(np.zeros((2, 3), bool)) == {'size': [2, 3], 'counts': [6]}


def test_selection_and_cover():
    assert found().above(0.5).labels.tolist() == [0]
    for masks in (True, False):
        assert found(masks).covered(0).sum() == 20 * 40
        assert found(masks).covered().sum() == 20 * 40 + 30 * 43 - 10 * 10


def test_drawn_masks_and_boxes():
    black = np.zeros((*SIZE, 1), np.uint8)
    colours = np.array([[200, 0, 0], [0, 100, 0]], np.uint8)
    masked = draw(black, found(), colours, opacity=0.5)
    assert masked[15, 30].tolist() == [100, 0, 0]
    assert masked[25, 55].tolist() == [100, 0, 0]  # the better one lies on top
    assert masked[40, 70].tolist() == [0, 50, 0]
    boxed = draw(black, found(masks=False), colours)
    assert boxed[10, 30].tolist() == [200, 0, 0]
    assert boxed[15, 30].tolist() == [0, 0, 0]
    small = draw(black[::2, ::2], found(), colours)
    assert small.shape == (35, 47, 3)


def test_folder(model, tmp_path):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / 'a.png'), picture(*SIZE, 3))
    (tmp_path / 'in' / 'b.png').write_bytes(b'')
    good, bad = predict_folder(model, tmp_path / 'in', tmp_path / 'out', Options(score=0.0))
    assert bad.error and bad.objects is None
    content = json.loads((tmp_path / 'out' / 'objects' / 'a.png.json').read_text())
    assert (content['width'], content['height']) == (93, 70)
    assert len(content['objects']) == good.objects > 0
    name = 'nucleus' if hasattr(model, 'roi_head') else 'tree'
    assert {record['class'] for record in content['objects']} == {name} == {good.rows[0][0]}
    assert cv2.imread(str(tmp_path / 'out' / 'overlays' / 'a.png')).shape == (*SIZE, 3)
    assert not (tmp_path / 'out' / 'masks').exists()
    assert 'b.png' in (tmp_path / 'out' / 'summary.csv').read_text()
