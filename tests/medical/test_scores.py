"""Scores by hand, against MONAI where it is defined alike, and every undefined case."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical import PooledScores
from mamba_dense.medical.scores import (
    Counts,
    case_scores,
    hausdorff95,
    normalised_surface_dice,
    surface_distances,
)

EMPTY, FULL = np.zeros((4, 5), bool), np.ones((4, 5), bool)


def box(rows, columns, shape=(12, 14)):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_counts_by_hand():
    predicted, truth = box(slice(0, 2), slice(0, 3)), box(slice(0, 2), slice(1, 5))
    counts = Counts.of(predicted, truth)
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (4, 2, 4, 12 * 14 - 10)
    assert counts.iou == 4 / 10
    assert counts.dice == 8 / 14
    assert counts.sensitivity == 4 / 8
    assert counts.specificity == 158 / 160
    assert counts.accuracy == 162 / 168
    assert Counts.of(predicted, truth, valid=truth) == Counts(4, 0, 4, 0)


@pytest.mark.parametrize(
    ('predicted', 'truth', 'expected'),
    [
        (EMPTY, EMPTY, (1.0, 1.0, 1.0, 1.0, 1.0)),
        (FULL, EMPTY, (0.0, 0.0, 0.0, 1.0, 0.0)),
        (EMPTY, FULL, (0.0, 0.0, 0.0, 0.0, 1.0)),
        (FULL, FULL, (1.0, 1.0, 1.0, 1.0, 1.0)),
    ],
    ids=['nothing', 'no-truth', 'no-prediction', 'all'],
)
def test_undefined_counts_have_a_value(predicted, truth, expected):
    """IoU, Dice, accuracy, sensitivity, specificity."""
    c = Counts.of(predicted, truth)
    assert (c.iou, c.dice, c.accuracy, c.sensitivity, c.specificity) == expected


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r'\(4, 5\) and \(5, 4\) must be of one shape'):
        Counts.of(EMPTY, EMPTY.T)


def test_hausdorff_by_hand():
    """A bar and the same bar two rows lower, three columns of it cut: all distances are 2."""
    first, second = box(slice(2, 3), slice(0, 14)), box(slice(4, 5), slice(0, 14))
    assert hausdorff95(first, second) == 2.0
    assert hausdorff95(first, second, spacing=(3.0, 1.0)) == 6.0
    assert normalised_surface_dice(first, second, 1.9) == 0.0
    assert normalised_surface_dice(first, second, 2.0) == 1.0


def test_surface_is_the_border_of_a_solid():
    solid = np.zeros((7, 7, 7), bool)
    solid[1:6, 1:6, 1:6] = True
    ours, theirs = surface_distances(solid, solid)
    assert len(ours) == len(theirs) == 5**3 - 3**3
    assert not ours.any()


def test_percentile_is_of_both_ways_together():
    """medpy's: MONAI takes the greater of the two ways' percentiles."""
    from monai.metrics import compute_hausdorff_distance

    rng = np.random.default_rng(0)
    first = box(slice(3, 9), slice(3, 9))
    second = first | (rng.random(first.shape) > 0.97)
    ours = hausdorff95(first, second)
    pair = [torch.from_numpy(x)[None, None].float() for x in (first, second)]
    monai = compute_hausdorff_distance(*pair, include_background=True, percentile=95)
    assert 0 < ours < float(monai)


@pytest.mark.parametrize(
    ('predicted', 'truth', 'case', 'distance', 'surface'),
    [
        (EMPTY, EMPTY, (0.0, 0.0), 0.0, 1.0),
        (FULL, EMPTY, (1.0, 0.0), np.inf, 0.0),
        (EMPTY, FULL, (0.0, 0.0), np.inf, 0.0),
        (FULL, FULL, (1.0, 0.0), 0.0, 1.0),
    ],
    ids=['nothing', 'no-truth', 'no-prediction', 'all'],
)
def test_undefined_cases_have_a_value(predicted, truth, case, distance, surface):
    assert case_scores(predicted, truth) == case
    assert hausdorff95(predicted, truth) == distance
    assert normalised_surface_dice(predicted, truth, 1.0) == surface


def sample(predicted, truth):
    return {
        'pred_sem_seg': {'data': torch.tensor(predicted)[None]},
        'gt_sem_seg': {'data': torch.tensor(truth)[None]},
    }


def test_metric_pools_all_images():
    metric = PooledScores(foreground=(1, 2))
    metric.dataset_meta = {'classes': ('a', 'b', 'c')}
    metric.process({}, [sample([[1, 1, 2]], [[1, 0, 255]])])
    metric.process({}, [sample([[0, 0, 2]], [[1, 0, 2]])])
    found = metric.evaluate(2)
    assert found['DSC.b'] == pytest.approx(100 * 2 / 4)
    assert found['DSC.c'] == 100.0
    assert found['DSC'] == 75.0
    assert found['mIoU.b'] == pytest.approx(100 / 3, abs=1e-3)
