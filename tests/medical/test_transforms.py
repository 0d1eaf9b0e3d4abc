"""Transforms of the slice recipes: gains, turns, splines, ranges."""

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.registry import TRANSFORMS


def build(name, **options):
    return TRANSFORMS.build(dict(type=f'mamba_dense.{name}', **options))


def record(size=(40, 56), channels=()):
    image = np.random.randint(0, 256, (*size, *channels), np.uint8)
    labels = np.random.randint(0, 9, size, np.uint8)
    return {
        'img': image,
        'gt_seg_map': labels,
        'seg_fields': ['gt_seg_map'],
        'ori_shape': size,
        'img_shape': size,
    }


@pytest.mark.parametrize(('dtype', 'highest'), [(np.uint8, 255), (np.uint16, 65535)])
def test_whole_range_becomes_one(dtype, highest):
    image = np.array([[0, highest]], dtype)
    found = build('UnitIntensity')({'img': image})['img']
    assert (found.shape, found.dtype) == ((1, 2, 3), np.float32)
    np.testing.assert_array_equal(found, [[[0, 0, 0], [1, 1, 1]]])
    colours = np.zeros((2, 2, 3), dtype)
    assert build('UnitIntensity')({'img': colours})['img'].shape == (2, 2, 3)


def test_unknown_range_is_refused():
    with pytest.raises(TypeError, match="loaded as float32; .*color_type='unchanged'"):
        build('UnitIntensity')({'img': np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize('channels', [(), (3,)], ids=['grey', 'colour'])
def test_gain_is_smooth_and_of_its_strength(channels):
    flat = np.full((200, 300, *channels), 100.0, np.float32)
    gain = build('SmoothGain', strength=0.1, cell=24.0)
    fields = np.log(np.stack([gain({'img': flat})['img'] for _ in range(20)]) / 100)
    assert 0.05 < fields.std() < 0.15  # between the knots it is smaller
    assert np.abs(np.diff(fields, axis=1)).max() < 0.1
    assert np.abs(fields).max() > 0.15
    if channels:
        np.testing.assert_array_equal(fields[..., 0], fields[..., 2])


def test_gain_keeps_the_type_and_its_range():
    bright = np.full((64, 64), 250, np.uint8)
    found = build('SmoothGain', strength=0.5)({'img': bright})['img']
    assert found.dtype == np.uint8
    assert found.max() == 255
    assert found.min() < 250
    with pytest.raises(ValueError, match='strength=0 and cell=24'):
        build('SmoothGain', strength=0)


def test_turns_move_image_and_labels_alike():
    """A flip always: the four reflections of a square, as released."""
    turn = build('TurnOrTilt', turn=1.0, tilt=0.0)
    start = record((6, 6))
    positions = set()
    for _ in range(100):
        moved = turn({**start, 'img': start['gt_seg_map'].copy()})
        np.testing.assert_array_equal(moved['img'], moved['gt_seg_map'])
        positions.add(moved['img'].tobytes())
    assert len(positions) == 4


def test_tilts_are_small_and_of_nearest_values():
    start = record((31, 41), (3,))
    start['img'] = np.repeat(start['gt_seg_map'][:, :, None], 3, axis=2)
    tilt = build('TurnOrTilt', turn=0.0, tilt=1.0, degrees=20)
    allowed = [
        ndimage.rotate(start['gt_seg_map'], angle, order=0, reshape=False)
        for angle in range(-20, 20)
    ]
    moved = [tilt(dict(start)) for _ in range(20)]
    for one in moved:
        assert any(np.array_equal(one['gt_seg_map'], labels) for labels in allowed)
        np.testing.assert_array_equal(one['img'][:, :, 1], one['gt_seg_map'])
    assert len({one['gt_seg_map'].tobytes() for one in moved}) > 5


def test_half_turn_half_of_the_rest_tilt():
    start = record((8, 8))
    both = build('TurnOrTilt')
    same = sum(
        np.array_equal(both(dict(start))['gt_seg_map'], start['gt_seg_map']) for _ in range(400)
    )
    assert 65 < same < 165  # a quarter stays, and a fortieth of the rest is a rotation by 0
    for wrong in (dict(turn=1.5), dict(degrees=0)):
        with pytest.raises(ValueError, match='must lie in'):
            build('TurnOrTilt', **wrong)


@pytest.mark.parametrize('channels', [(), (3,)], ids=['grey', 'colour'])
def test_zoom_for_training_and_for_testing(channels):
    start = record((40, 56), channels)
    found = build('ZoomSlice', size=(32, 64))(dict(start))
    factors = (32 / 40, 64 / 56)
    image = start['img'].astype(np.float32)
    expected = ndimage.zoom(image, factors + (1,) * len(channels), order=3)
    np.testing.assert_allclose(found['img'], expected, rtol=1e-6)
    labels = ndimage.zoom(start['gt_seg_map'], factors, order=0)
    np.testing.assert_array_equal(found['gt_seg_map'], labels)
    assert (found['img_shape'], found['ori_shape']) == ((32, 64), (40, 56))
    tested = build('ZoomSlice', size=(32, 64), as_original=True)(dict(start))
    np.testing.assert_array_equal(tested['gt_seg_map'], start['gt_seg_map'])
    assert tested['img_shape'] == tested['ori_shape'] == (32, 64)
