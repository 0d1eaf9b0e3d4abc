"""Two dates in, maps of change out, from Python."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip('mmseg', reason='needs the extra change')

from mamba_dense.apis import ImageError, infer, infer_change, init_model
from mamba_dense.apis.change import class_names, decide

TASKS = ('bcd', 'scd', 'bda')


@pytest.fixture(scope='module')
def networks():
    """A network of each task with random weights."""
    torch.manual_seed(0)
    return {
        task: init_model(f'changemamba-nano_{task}_scenes-128x128', device='cpu') for task in TASKS
    }


@pytest.fixture
def dates():
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 255, (2, 52, 71, 3), np.uint8))


@pytest.mark.parametrize('task', TASKS)
def test_maps_are_the_networks(networks, dates, task):
    model = networks[task]
    result = infer_change(model, *dates, keep_scores=True)
    x = torch.from_numpy(np.concatenate(dates, axis=2)).permute(2, 0, 1)
    with torch.inference_mode():
        (sample,) = model.test_step({'inputs': [x], 'data_samples': None})
    for name, classes in model.decode_head.outputs.items():
        expected = sample.get(f'{name}_logits').data.softmax(dim=0).numpy()
        assert result.scores[name].shape == (classes, 52, 71)
        np.testing.assert_allclose(result.scores[name], expected, atol=1e-6)
        assert result.maps[name].dtype == np.uint8
        np.testing.assert_array_equal(result.confidence[name], result.scores[name].max(axis=0))
        assert len(class_names(model)[name]) == classes
    first = next(iter(result.maps))
    np.testing.assert_array_equal(result.maps[first], result.scores[first].argmax(axis=0))


def test_land_cover_and_damage_only_where_there_is_any(networks):
    scores = np.random.default_rng(0).random((16, 9, 9)).astype(np.float32)
    maps = decide(networks['scd'], scores).maps
    unchanged = scores[0] >= scores[1]
    assert not maps['pre'][unchanged].any() and not maps['post'][unchanged].any()
    np.testing.assert_array_equal(maps['post'][~unchanged], scores[9:].argmax(axis=0)[~unchanged])
    maps = decide(networks['bda'], scores[:7]).maps
    assert not maps['damage'][unchanged].any() and maps['damage'][~unchanged].any()


def test_tiles(networks, dates):
    model, seen = networks['bcd'], []
    tiled = infer_change(
        model, *dates, tile=32, overlap=8, on_tile=lambda done, total: seen.append((done, total))
    )
    assert tiled.maps['change'].shape == (52, 71)
    assert seen[-1] == (len(seen), len(seen)) and len(seen) == 6
    one = infer_change(model, *dates, tile=80)
    np.testing.assert_array_equal(one.maps['change'], infer_change(model, *dates).maps['change'])


def test_grey_and_deep_pictures(networks, dates):
    model = networks['bcd']
    grey = infer_change(model, dates[0][:, :, 0], dates[1][:, :, 0])
    assert grey.maps['change'].shape == (52, 71)
    deep = [date.astype(np.uint16) * 257 for date in dates]
    same = infer_change(model, *deep, keep_scores=True)
    np.testing.assert_array_equal(
        same.scores['change'], infer_change(model, *dates, keep_scores=True).scores['change']
    )


def test_refusals(networks, dates):
    model = networks['bcd']
    with pytest.raises(ImageError, match='71x52 pixels, after 70x52'):
        infer_change(model, dates[0], dates[1][:, :70])
    with pytest.raises(ImageError, match='after: has 2 channels, the network takes 3'):
        infer_change(model, dates[0], dates[1][:, :, :2])
    with pytest.raises(ImageError, match='absent.png: no such file'):
        infer_change(model, 'absent.png', dates[1])
    with pytest.raises(ValueError, match='keep_scores=True'):
        infer_change(model, *dates, tile=32, keep_scores=True)
    with pytest.raises(ValueError, match='takes two dates: use infer_change'):
        infer(model, dates[0])
    with pytest.raises(ValueError, match='Conv2d takes one picture'):
        infer_change(nn.Conv2d(3, 3, 1), *dates)
