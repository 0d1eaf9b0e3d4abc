"""Quarter turns and crops: boxes and masks follow their pixels."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import init_default_scope

from mamba_dense.detection import CropAtObject, RandomTranspose

SIZE = (40, 70)
BOX = [10, 5, 30, 12]  # left, top, right, bottom


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def picture(polygons=False, boxes=(BOX,)):
    """A picture that is white where its one object is."""
    mask = np.zeros(SIZE, np.uint8)
    mask[5:12, 10:30] = 1
    masks = BitmapMasks([mask] * len(boxes), *SIZE)
    if polygons:
        left, top, right, bottom = BOX
        outline = np.array([left, top, right, top, right, bottom, left, bottom], float)
        masks = PolygonMasks([[outline]], *SIZE)
    return {
        'img': np.repeat(mask[:, :, None] * 255, 3, axis=2),
        'img_shape': SIZE,
        'gt_bboxes': HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        'gt_bboxes_labels': np.zeros(len(boxes), int),
        'gt_ignore_flags': np.zeros(len(boxes), bool),
        'gt_masks': masks,
    }


def check(found):
    """The box is where the white is, and so is the mask."""
    rows, columns = np.nonzero(found['img'][:, :, 0])
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found['gt_bboxes'].tensor.tolist() == [box]
    bitmap = found['gt_masks'].to_ndarray()
    assert bitmap.shape == (1, *found['img'].shape[:2])
    assert (bitmap[0] == (found['img'][:, :, 0] > 0)).all()
    assert tuple(found['img_shape']) == found['img'].shape[:2]


@pytest.mark.parametrize('polygons', [False, True], ids=['bitmaps', 'polygons'])
def test_transpose(polygons):
    found = RandomTranspose(prob=1)(picture(polygons))
    assert found['img'].shape == (70, 40, 3)
    check(found)
    again = RandomTranspose(prob=1)(found)
    assert (again['img'] == picture()['img']).all()
    check(again)


def test_transpose_is_left_out_at_zero():
    assert RandomTranspose(prob=0)(picture())['img'].shape == (*SIZE, 3)
    with pytest.raises(ValueError, match=r'prob=1\.5'):
        RandomTranspose(prob=1.5)


def test_crop_holds_an_object():
    crop = CropAtObject((24, 16), recompute_bbox=True)  # width, height
    shapes = set()
    for _ in range(50):
        found = crop(picture())
        assert found['img'].shape == (16, 24, 3)
        assert found['img'][:, :, 0].any()
        check(found)
        shapes.add(tuple(found['gt_bboxes'].tensor[0].tolist()))
    assert len(shapes) > 5  # at many places


def test_crop_larger_than_the_picture():
    found = CropAtObject((100, 90))(picture())
    assert found['img'].shape == (*SIZE, 3)
    check(found)


def test_crop_of_an_object_at_the_border():
    data = picture(boxes=([69, 39, 70, 40],))
    found = CropAtObject((16, 16))(data)
    assert found['gt_bboxes'].tensor.tolist() == [[15, 15, 16, 16]]


def test_crop_without_objects():
    found = CropAtObject((16, 16), allow_negative_crop=True)(picture(boxes=()))
    assert found['img'].shape == (16, 16, 3)
    assert len(found['gt_bboxes']) == 0
    assert CropAtObject((16, 16))(picture(boxes=())) is None
