"""Tiles: they cover the picture, blend to the whole, and need no more than one row of them."""

import numpy as np
import pytest

from mamba_dense.apis.large_image import blend_weights, count_tiles, predict_bands, tile_starts


@pytest.mark.parametrize('length', [1, 7, 63, 64, 65, 100, 101, 257])
@pytest.mark.parametrize(('tile', 'overlap'), [(64, 0), (64, 16), (64, 63), (5, 2)])
def test_tiles_cover_and_overlap(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(length - tile, 0)
    steps = np.diff(starts)
    assert (steps > 0).all() and (steps <= tile - overlap).all()


@pytest.mark.parametrize(
    ('length', 'tile', 'overlap', 'words'),
    [(0, 4, 1, 'length=0'), (4, 0, 0, 'tile=0'), (9, 4, 4, 'overlap=4'), (9, 4, -1, 'overlap=-1')],
)
def test_refusals(length, tile, overlap, words):
    with pytest.raises(ValueError, match=words):
        tile_starts(length, tile, overlap)


def test_weights_are_positive_and_largest_in_the_middle():
    weights = blend_weights(9, 5)
    assert weights.shape == (9, 5)
    assert weights.min() > 0
    assert weights.argmax() == 4 * 5 + 2


def joined(image, predict, tile, overlap):
    bands = list(predict_bands(image, predict, tile, overlap))
    tops = [top for top, _ in bands]
    rows = [scores.shape[1] for _, scores in bands]
    assert tops == [0, *np.cumsum(rows)[:-1]]
    return np.concatenate([scores for _, scores in bands], axis=1)


@pytest.mark.parametrize('shape', [(50, 70), (16, 16), (9, 40), (1, 1), (33, 16)])
def test_pixelwise_scores_are_those_of_the_whole(shape):
    image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)
    whole = image.transpose(2, 0, 1)
    result = joined(image, lambda part: part.transpose(2, 0, 1), 16, 5)
    assert np.abs(result - whole).max() < 1e-5


def test_tiles_disagree_smoothly():
    """Each tile claims a number of its own: the blend has no jump as large as a tile's."""
    numbers = iter(np.arange(100.0))

    def predict(part):
        return np.full((1, *part.shape), next(numbers), np.float32)

    result = joined(np.zeros((16, 60)), predict, 16, 8)[0]
    assert np.abs(np.diff(result, axis=1)).max() < 0.5


def test_wrong_size_of_scores():
    with pytest.raises(ValueError, match=r'tile of 4x4'):
        list(predict_bands(np.zeros((4, 4)), lambda part: np.zeros((1, 2, 2)), 4, 0))


def test_count():
    assert count_tiles((10, 20, 3), 5, 0) == 8
