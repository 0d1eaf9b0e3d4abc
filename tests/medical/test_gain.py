"""The smooth gain of volumes: one field for all images, about the scanner's zero."""

import numpy as np
import pytest

pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.gain import RandSmoothGaind, smooth_gain


def test_knots_are_met():
    """Two knots: their values stand in the corners, and only values between them elsewhere."""
    knots = []

    def draw(shape):
        knots.append(np.random.default_rng(0).standard_normal(shape))
        return knots[0]

    gain = smooth_gain((9, 12, 7), strength=0.2, cell=100.0, draw=draw)
    assert gain.dtype == np.float32
    assert knots[0].shape == (2, 2, 2)
    corners = np.log(gain[np.ix_([0, -1], [0, -1], [0, -1])])
    np.testing.assert_allclose(corners, 0.2 * knots[0], atol=1e-6)
    assert np.abs(np.log(gain)).max() <= np.abs(corners).max() + 1e-6


def test_zero_of_the_scanner_stays():
    """Values are what a gain on the scanner's values would give; one field for both images."""
    raw = np.random.default_rng(1).uniform(0, 200, (1, 8, 10, 12)).astype(np.float32)
    raw[:, :2] = 0
    sample = {'image': (raw - 100) / 25, 'other': (raw - 100) / 25, 'label': raw > 50}
    transform = RandSmoothGaind(['image', 'other'], prob=1.0, zero=-4.0, cell=6.0)
    found = transform.set_random_state(3)(sample)
    assert found['label'] is sample['label']
    np.testing.assert_array_equal(found['image'], found['other'])
    draw = RandSmoothGaind('image', prob=1.0).set_random_state(3)
    draw.randomize(None)
    gain = smooth_gain(raw.shape[1:], strength=0.1, cell=6.0, draw=draw.R.standard_normal)
    np.testing.assert_allclose(found['image'] * 25 + 100, raw * gain, atol=1e-3)
    assert sample['image'].max() < 4.01  # its input is as it was


def test_chance():
    sample = {'image': np.ones((1, 4, 4, 4), np.float32)}
    transform = RandSmoothGaind('image', prob=0.3).set_random_state(0)
    changed = [bool((transform(sample)['image'] != 1).any()) for _ in range(200)]
    assert 40 < sum(changed) < 80


def test_bad_arguments():
    with pytest.raises(ValueError, match='strength=-0.1 and cell=24.0 must be above 0'):
        RandSmoothGaind('image', strength=-0.1)
    with pytest.raises(KeyError, match='image'):
        RandSmoothGaind('image', prob=1.0)({'label': np.zeros((1, 2, 2, 2))})
