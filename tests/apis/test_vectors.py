"""Outlines of regions: strip by strip the same as at once, and every pixel in one of them."""

import numpy as np
import pytest

pytest.importorskip('rasterio', reason='needs the extra change')

from mamba_dense.apis.vectors import regions


def blobs(height, width, seed=0):
    """Blocks of values 0 to 3, some of them high, some joined."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, (-(-height // 6), -(-width // 4)))
    return values.repeat(6, 0).repeat(4, 1)[:height, :width].astype(np.uint16)


def key(found):
    """Value, pixels and the corners of each region, wherever its outline starts."""
    return sorted(
        (r.value, r.pixels, tuple(sorted(set(map(tuple, np.concatenate(r.rings).tolist())))))
        for r in found
    )


def whole(values, **options):
    return list(regions(lambda first, end: values[first:end], values.shape[0], **options))


@pytest.mark.parametrize('strip', [1, 7, 16, 64])
def test_strips_are_the_whole(strip):
    values = blobs(90, 50)
    at_once, by_strip = whole(values, strip=90), whole(values, strip=strip)
    assert key(at_once) == key(by_strip)
    counts = np.bincount(values.ravel())
    for value in (1, 2, 3):
        assert sum(r.pixels for r in by_strip if r.value == value) == counts[value]
    if strip > 1:  # some do wait for the next strip
        assert any(np.ptp(r.rings[0][:, 1]) > strip for r in by_strip) or strip > 16


def test_holes_are_no_part():
    values = np.ones((9, 9), np.uint16)
    values[3:6, 3:6] = 0
    (ring,) = whole(values, strip=4)
    assert ring.pixels == 72 and len(ring.rings) == 2


def test_a_tall_region_is_cut_and_nothing_is_lost():
    values = np.zeros((100, 8), np.uint16)
    values[5:95, 2] = 1
    values[60:70, 5] = 2
    found = whole(values, strip=10, tallest=30)
    assert sum(r.pixels for r in found if r.value == 1) == 90
    assert len([r for r in found if r.value == 1]) > 1
    assert [r.pixels for r in found if r.value == 2] == [10]
    assert len(whole(values, strip=10, tallest=100)) == 2


def test_what_is_held_is_bounded():
    values = np.ones((400, 4), np.uint16)
    asked = []

    def rows(first, end):
        asked.append(end - first)
        return values[first:end]

    assert sum(r.pixels for r in regions(rows, 400, strip=10, tallest=40)) == 1600
    assert max(asked) <= 50
