"""Surface Dice by area by hand, organs, labels of a picture, and every undefined case."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical import PresentScores
from mamba_dense.medical.surface_dice import (
    ORGANS,
    area_surface_dice,
    organ_scores,
    present_scores,
)

EMPTY, FULL = np.zeros((6, 7, 5), bool), np.ones((6, 7, 5), bool)


def slab(first, last, shape=(20, 16, 16)):
    mask = np.zeros(shape, bool)
    mask[first:last, 4:12, 4:12] = True
    return mask


@pytest.mark.parametrize(
    ('predicted', 'truth', 'value'),
    [(EMPTY, EMPTY, 1.0), (FULL, EMPTY, 0.0), (EMPTY, FULL, 0.0), (FULL, FULL, 1.0)],
    ids=['nothing', 'no-truth', 'no-prediction', 'all'],
)
def test_undefined_cases_have_a_value(predicted, truth, value):
    assert area_surface_dice(predicted, truth, 1.0) == value
    assert area_surface_dice(predicted[..., 0], truth[..., 0], 1.0) == value


def test_tolerance_is_in_millimetres():
    """A block, and the same block one voxel on: its surface is nowhere more than 3 mm off."""
    first, second = slab(4, 10), slab(5, 11)
    assert area_surface_dice(first, second, 3.0, (3.0, 1.0, 1.0)) == 1.0
    part = area_surface_dice(first, second, 2.9, (3.0, 1.0, 1.0))
    assert 0.2 < part < 0.9
    assert area_surface_dice(first, second, 1.0) == 1.0


def test_organs_have_their_tolerance_and_slices():
    truth = np.zeros((20, 16, 16), int)
    truth[slab(4, 10)] = 1  # liver
    truth[12:16, 4:8, 3:9] = 5  # aorta, slices 3 to 8
    predicted = truth.copy()
    predicted[12:16, 4:8, 8:14] = 5  # the last labelled slice and what is beyond are not scored
    found = organ_scores(predicted, truth, (1.0, 1.0, 1.0))
    assert len(found) == 13 == len(ORGANS)
    assert found['liver'] == found['aorta'] == found['stomach'] == (1.0, 1.0)
    predicted[predicted == 1] = 3
    found = organ_scores(predicted, truth, (1.0, 1.0, 1.0))
    assert found['liver'] == found['spleen'] == (0.0, 0.0)
    truth[truth == 5] = 0
    truth[12:16, 4:8, 8] = 5  # one slice alone is scored on it
    assert organ_scores(predicted, truth, (1.0, 1.0, 1.0))['aorta'][0] == 1.0


def test_labels_that_are_present():
    truth = np.zeros((12, 12), int)
    truth[2:6, 2:6] = 4
    predicted = truth.copy()
    assert present_scores(predicted, truth) == (1.0, 1.0)
    predicted[8:10, 8:10] = 2  # a label that is not there: 0, and a mean of two
    assert present_scores(predicted, truth) == (0.5, 0.5)
    assert present_scores(truth * 0, truth * 0) == (1.0, 1.0)


def test_metric_takes_means_over_pictures():
    truth = torch.zeros(1, 12, 12, dtype=torch.long)
    truth[:, 2:6, 2:6] = 1
    truth[:, 0] = 255

    def sample(predicted):
        return {'pred_sem_seg': {'data': predicted}, 'gt_sem_seg': {'data': truth}}

    metric = PresentScores()
    right = torch.where(truth == 255, 1, truth)  # ignored pixels do not count
    metric.process({}, [sample(right), sample(torch.zeros_like(truth))])
    assert metric.evaluate(2) == {'DSC': 50.0, 'NSD': 50.0}
