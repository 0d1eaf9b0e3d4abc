"""Synthetic scenes: seeded, exact, of the kinds that are promised."""

import cv2
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra change')

from mamba_dense.change.scene_view import BUILDING, COVERS
from mamba_dense.change.scenes import make_scene

MAPS = ('change', 'pre_cover', 'post_cover', 'building', 'damage')


@pytest.mark.parametrize('event', ['growth', 'disaster'])
def test_a_seed_is_a_scene(event):
    a, b, c = (make_scene((7, i), (96, 64), event) for i in (1, 1, 2))
    for name in ('pre', 'post', *MAPS):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert not np.array_equal(a.pre, c.pre)
    assert a.pre.shape == (96, 64, 3) and a.pre.dtype == np.uint8
    assert all(getattr(a, name).shape == (96, 64) for name in MAPS)


def test_labels_of_growth_agree_with_each_other():
    seen = np.zeros((7, 7), int)
    for i in range(40):
        pair = make_scene((3, i))
        changed = pair.change > 0
        assert ((pair.pre_cover > 0) == changed).all() and ((pair.post_cover > 0) == changed).all()
        assert (pair.pre_cover != pair.post_cover)[changed].all()
        seen += np.histogram2d(pair.pre_cover[changed], pair.post_cover[changed], (range(8),) * 2)[
            0
        ].astype(int)
    assert (seen.sum(0)[1:] > 0).all() and (seen.sum(1)[1:] > 0).all(), dict(zip(COVERS, seen))
    assert seen[BUILDING].sum() > 1000 and seen[:, BUILDING].sum() > 1000  # pulled down, built


def test_disasters_damage_the_buildings_alone():
    grades = np.zeros(5, int)
    for i in range(20):
        pair = make_scene((4, i), event='disaster')
        assert ((pair.damage > 0) == (pair.building > 0)).all()
        assert not pair.change.any()
        grades += np.bincount(pair.damage.ravel(), minlength=5)
    assert (grades > 2000).all()


def test_what_changed_is_seen_and_the_rest_less_so():
    """Changed pixels differ more between the pictures than unchanged ones do."""
    inside, outside = [], []
    for i in range(20):
        pair = make_scene((5, i))
        gap = np.abs(pair.pre.astype(float) - pair.post).mean(axis=2)
        gap -= np.median(gap)
        inside.append(gap[pair.change > 0].mean())
        outside.append(gap[pair.change == 0].mean())
    assert np.mean(inside) > 2 * np.mean(outside)


def test_damage_is_seen():
    """Whole roofs are smooth, damaged ones are not: the mean Laplacian of the second picture."""
    rough = {grade: [] for grade in range(1, 5)}
    for i in range(30):
        pair = make_scene((6, i), event='disaster')
        edges = np.abs(cv2.Laplacian(pair.post.astype(np.float32).mean(axis=2), cv2.CV_32F))
        inside = cv2.erode(pair.building, np.ones((5, 5), np.uint8)) * pair.damage
        for grade, found in rough.items():
            found.extend(edges[inside == grade])
    whole, *damaged = [np.mean(found) for found in rough.values()]
    assert min(damaged) > 1.3 * whole, rough.keys()


def test_refusals():
    with pytest.raises(ValueError, match="event='war' is not known; known: growth, disaster"):
        make_scene(0, event='war')
    with pytest.raises(ValueError, match=r'size=\(16, 128\) is too small'):
        make_scene(0, (16, 128))
