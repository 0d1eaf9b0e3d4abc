"""Preparation and its way back: what each step does, and that masks come back where they were."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.apis.masks import dice
from mamba_dense.medical.brain import read_brain
from mamba_dense.medical.preparation import Preparation, axis_matrix, resample, restore_part
from mamba_dense.medical.volume import Volume

PLAIN = ({'kind': 'none'},)


def volume(data, spacing=(1.0, 1.0, 1.0)):
    return Volume(np.asarray(data, np.float32), np.diag([*spacing, 1.0]), Path('a.nii.gz'))


def noise(*shape):
    return np.random.default_rng(0).normal(50, 10, shape).astype(np.float32)


def one_hot(labels, count=3):
    return np.stack([labels == k for k in range(count)]).astype(np.float32)


@pytest.mark.parametrize('order', [0, 1, 3])
@pytest.mark.parametrize('ends', [(9, 17), (17, 9), (10, 10), (1, 4), (6, 1)], ids=str)
def test_axis_matrix_is_scipys_zoom(order, ends):
    length, wanted = ends
    line = noise(length).astype(float)
    zoomed = ndimage.zoom(line, wanted / length, order=order, mode='nearest', grid_mode=True)
    assert axis_matrix(length, wanted, order) @ line == pytest.approx(zoomed, rel=1e-5)


def test_axes_one_by_one_are_the_spline_of_the_volume():
    values, wanted = noise(9, 12, 7), (14, 8, 11)
    factors = np.divide(wanted, values.shape)
    expected = ndimage.zoom(values, factors, order=3, mode='nearest', grid_mode=True)
    matrices = [axis_matrix(n, w, 3) for n, w in zip(values.shape, wanted, strict=True)]
    assert np.abs(resample(values, matrices) - expected).max() < 1e-3


@pytest.mark.parametrize('axes', [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
def test_round_trip_without_resampling_is_the_identity(axes):
    data = np.zeros((1, 12, 11, 10))
    data[0, 3:9, 1:8, 4:10] = noise(6, 7, 6)
    labels = np.random.default_rng(1).integers(0, 3, (12, 11, 10)).astype(np.uint8)
    labels[data[0] == 0] = 0
    preparation = Preparation(axes=axes)
    done = preparation.prepare(volume(data, (1.0, 2.0, 3.0)))
    assert done.data.shape[1:] == tuple((6, 7, 6)[a] for a in axes)
    seen = preparation.labels(labels, done.geometry)
    back = preparation.restore(one_hot(seen), done.geometry)
    assert back.dtype == np.uint8 and np.array_equal(back, labels)


@pytest.mark.parametrize(
    'spacing, least', [((1.5, 1.5, 1.5), 0.99), ((3.0, 3.0, 3.0), 0.91)], ids=['finer', 'coarser']
)
def test_round_trip_with_resampling_is_close(spacing, least):
    # measured on the bundled brain at 2 mm: mean Dice 0.995 by way of 1.5 mm, 0.921 of 3 mm
    image, labels = read_brain()
    preparation = Preparation(spacing=spacing)
    done = preparation.prepare(volume(image[None], (2.0, 2.0, 2.0)))
    seen = preparation.labels(labels, done.geometry)
    assert seen.shape == done.data.shape[1:] and done.data.dtype == np.float32
    back = preparation.restore(one_hot(seen), done.geometry)
    found = np.mean([dice(back == k, labels == k) for k in (1, 2)])
    print(f'mean Dice {found:.4f}')
    assert found > least


def test_low_resolution_axis_takes_the_nearest():
    data = noise(1, 4, 16, 16)
    done = Preparation(spacing=(2.5, 1.0, 1.0), channels=PLAIN).prepare(
        volume(data, (5.0, 1.0, 1.0))
    )
    assert done.geometry.nearest == (True, False, False)
    assert np.array_equal(done.data[0], data[0].repeat(2, axis=0))
    even = Preparation(spacing=(2.0, 1.0, 1.0)).prepare(volume(data, (3.0, 1.0, 1.0)))
    assert even.geometry.nearest == (False, False, False)


def test_an_axis_may_be_left_alone():
    done = Preparation(spacing=(None, 0.5, 2.0)).prepare(volume(noise(1, 5, 6, 8)))
    assert done.data.shape == (1, 5, 12, 4)


class TestIntensities:
    def test_zscore_of_all(self):
        data = noise(2, 8, 8, 8)
        done = Preparation(channels=({'kind': 'zscore'}, {'kind': 'none'})).prepare(volume(data))
        assert done.data[0].mean() == pytest.approx(0, abs=1e-5)
        assert done.data[0].std() == pytest.approx(1, abs=1e-5)
        assert np.array_equal(done.data[1], data[1])

    @pytest.mark.parametrize('side, masked', [(8, True), (10, False)])
    def test_zscore_inside_the_nonzero_voxels(self, side, masked):
        """Cropping leaves 51 % (masked) or all of the volume."""
        data = np.zeros((1, 10, 10, 10))
        data[0, :side, :side, :side] = noise(side, side, side)
        data[0, 2, 2, 2] = 0
        seen = Preparation().prepare(volume(data)).data[0]
        inside = data[0, :side, :side, :side] != 0
        assert (seen[2, 2, 2] == 0) == masked
        assert abs(seen[inside].mean()) < (1e-5 if masked else 1)
        assert seen.mean() == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize('value', [0.0, 0.1, 12345.678])
    @pytest.mark.parametrize('kind', ['zscore', 'rescale'])
    def test_a_constant_image_becomes_0(self, kind, value):
        done = Preparation(channels=({'kind': kind},)).prepare(volume(np.full((1, 5, 6, 7), value)))
        assert done.data.shape == (1, 5, 6, 7) and not done.data.any()

    def test_other_kinds(self):
        data = np.linspace(-100, 300, 64).reshape(1, 4, 4, 4)
        ct = {'kind': 'ct', 'low': -50, 'high': 150, 'mean': 50, 'std': 20}
        for channel, ends in ((ct, (-5, 5)), ({'kind': 'rescale'}, (0, 1))):
            seen = Preparation(channels=(channel,), crop_nonzero=False).prepare(volume(data)).data
            assert (seen.min(), seen.max()) == pytest.approx(ends)
        seen = Preparation(channels=({'kind': 'rgb'},)).prepare(volume(data)).data
        assert seen.max() == pytest.approx(300 / 255)


def test_one_voxel_thick():
    preparation = Preparation(spacing=(0.5, 2.0, 1.0))
    done = preparation.prepare(volume(noise(1, 8, 1, 6)))
    assert done.data.shape == (1, 16, 1, 6) and np.isfinite(done.data).all()
    assert preparation.restore(one_hot(np.ones((16, 1, 6))), done.geometry).all()


@pytest.mark.parametrize('mm', [0.23, 0.3, 3.7])
def test_any_spacing_comes_back(mm):
    preparation = Preparation(spacing=(mm, mm, mm))
    done = preparation.prepare(volume(noise(1, 9, 8, 7)))
    back = preparation.restore(one_hot(np.ones(done.geometry.size)), done.geometry)
    assert back.shape == (9, 8, 7) and (back == 1).all()


def test_one_class_counts_above_0():
    scores = noise(1, 4, 5, 6) - 50
    done = Preparation().prepare(volume(noise(1, 4, 5, 6)))
    assert np.array_equal(Preparation().restore(scores, done.geometry), scores[0] > 0)


def test_parts_are_the_whole():
    preparation = Preparation(spacing=(1.7, 0.8, 1.1), axes=(2, 0, 1))
    done = preparation.prepare(volume(noise(1, 20, 15, 18), (1.0, 1.0, 1.0)))
    scores = np.random.default_rng(2).normal(size=(3, *done.geometry.size)).astype(np.float32)
    whole = done.geometry.cut(preparation.restore(scores, done.geometry))
    for start in ((0, 0, 0), (5, 7, 3), (12, 13, 9)):
        part = tuple(
            slice(s, min(s + 6, n)) for s, n in zip(start, done.geometry.cropped, strict=True)
        )
        needed = scores[(slice(None), *done.geometry.source(part))]
        assert np.array_equal(restore_part(needed, done.geometry, part), whole[part])


def test_memory_is_that_of_single_precision():
    data = noise(1, 64, 96, 96)
    scan = volume(data)
    tracemalloc.start()
    Preparation(spacing=(1.0, 1.2, 1.2)).prepare(scan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.3 * data.nbytes  # scaled, in planes, result; float64 would take twice that


@pytest.mark.parametrize(
    'options, message',
    [
        ({'axes': (0, 1, 1)}, r'axes=\[0, 1, 1\]'),
        ({'spacing': (1, 0, 1)}, r'spacing=\[1, 0, 1\]'),
        ({'spacing': (1, 1)}, r'spacing=\[1, 1\]'),
        ({'channels': ()}, 'channels is empty'),
        ({'channels': ({'kind': 'mri'},)}, "kind='mri' is not known; known: zscore, ct"),
        ({'channels': ({'kind': 'ct', 'low': 0},)}, 'takes'),
        ({'channels': ({'kind': 'ct', 'low': 0, 'high': 0, 'mean': 0, 'std': 1},)}, 'low < high'),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        Preparation(**options)


def test_refused_volumes():
    with pytest.raises(ValueError, match='has 2 channels, the preparation has 1'):
        Preparation().prepare(volume(noise(2, 4, 4, 4)))
    done = Preparation().prepare(volume(noise(1, 4, 4, 4)))
    with pytest.raises(ValueError, match='they must agree'):
        Preparation().restore(noise(2, 4, 4, 5), done.geometry)
