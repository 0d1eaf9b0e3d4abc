"""Instances by hand: pairs, borders, corners, tiles, empty pictures."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical import InstanceF1
from mamba_dense.medical import instances as module
from mamba_dense.medical.instances import (
    InstanceCounts,
    connected,
    match_instances,
    picture_instances,
    without_border,
)


def squares(*corners, side=4, shape=(24, 24)):
    """Instances numbered in turn, each a square from its corner on."""
    found = np.zeros(shape, int)
    for number, (row, column) in enumerate(corners, 1):
        found[row : row + side, column : column + side] = number
    return found


def test_pairs_by_hand():
    truth = squares((4, 4), (4, 14), (14, 4))
    predicted = squares((14, 4), (5, 4), (16, 16))  # the same, 3/5 of one, none
    counts = match_instances(predicted, truth)
    assert counts == InstanceCounts(2, 1, 1)
    assert counts.f1 == pytest.approx(4 / 6)
    assert match_instances(predicted, truth, 0.7) == InstanceCounts(1, 2, 2)


def test_one_instance_counts_once():
    """Two halves of an instance: neither is more than half of it, and only one may be paired."""
    truth = squares((4, 4))
    halves = np.where(np.arange(24) < 6, truth, 2 * truth)
    assert match_instances(halves, truth) == InstanceCounts(1, 1, 0)
    assert match_instances(halves, truth, 0.51) == InstanceCounts(0, 2, 1)


@pytest.mark.parametrize(
    ('predicted', 'truth', 'counts', 'f1'),
    [
        ([], [], (0, 0, 0), 1.0),
        ([(4, 4)], [], (0, 1, 0), 0.0),
        ([], [(4, 4)], (0, 0, 1), 0.0),
        ([(4, 4)], [(4, 4)], (1, 0, 0), 1.0),
    ],
    ids=['nothing', 'no-truth', 'no-prediction', 'all'],
)
def test_undefined_cases_have_a_value(predicted, truth, counts, f1):
    found = picture_instances(squares(*predicted), squares(*truth))
    assert found == InstanceCounts(*counts)
    assert found.f1 == f1


def test_borders_and_corners():
    mask = squares((1, 8), (2, 2), (18, 18)) > 0
    instances = connected(mask)
    assert instances.max() == 3
    assert connected(squares((2, 2), (6, 6)) > 0).max() == 1  # corners touch
    assert set(np.unique(without_border(instances))) == {0, *instances[2, 2:3], instances[18, 18]}


def test_large_pictures_go_by_tiles(monkeypatch):
    truth = squares((4, 4), (4, 14), (10, 9))  # the last one is cut by the tiles
    whole = picture_instances(truth, truth)
    assert whole.tp == 3
    monkeypatch.setattr(module, 'WHOLE', 100)
    monkeypatch.setattr(module, 'TILE', 12)
    assert picture_instances(truth, truth) == InstanceCounts(2, 0, 0)


def test_metric_gives_mean_and_median():
    truth = torch.from_numpy((squares((4, 4), (14, 14)) > 0).astype(int))[None]

    def sample(predicted):
        return {'pred_sem_seg': {'data': predicted}, 'gt_sem_seg': {'data': truth}}

    metric = InstanceF1()
    metric.process({}, [sample(truth), sample(truth), sample(truth * 2)])
    assert metric.evaluate(3) == {'F1': 66.667, 'F1_median': 100.0}
