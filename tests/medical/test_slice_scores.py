"""Slices put together again: the scores of whole cases, as on Synapse."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.scores import case_scores
from mamba_dense.registry import METRICS

CLASSES = ('background', 'liver', 'spleen')


def metric(**options):
    found = METRICS.build(dict(type='mamba_dense.SliceCaseScores', **options))
    found.dataset_meta = {'classes': CLASSES}
    return found


def sample(case, index, predicted, truth):
    return {
        'img_path': f'/data/{case}_slice{index:03d}.png',
        'pred_sem_seg': {'data': torch.as_tensor(predicted)[None]},
        'gt_sem_seg': {'data': torch.as_tensor(truth)[None]},
    }


def stacks():
    truth = np.random.randint(0, 3, (5, 9, 11))
    predicted = np.where(np.random.rand(*truth.shape) < 0.8, truth, 0)
    return predicted, truth


def test_equals_the_scores_of_whole_volumes():
    """Two cases, slices in any order, batches of any size."""
    pairs = [stacks(), stacks()]
    slices = [
        sample(f'case{c}', z + c, predicted[z], truth[z])
        for c, (predicted, truth) in enumerate(pairs)
        for z in range(5)
    ]
    order = np.random.permutation(len(slices))
    ours = metric()
    ours.process({}, [slices[i] for i in order[:3]])
    ours.process({}, [slices[i] for i in order[3:]])
    found = ours.evaluate(len(slices))
    expected = np.array([[case_scores(p == k, t == k) for k in (1, 2)] for p, t in pairs]).mean(
        axis=0
    )
    np.testing.assert_allclose(found['DSC'], 100 * expected[:, 0].mean(), atol=1e-3)
    np.testing.assert_allclose(found['HD95'], expected[:, 1].mean(), atol=1e-3)
    np.testing.assert_allclose(found['DSC.spleen'], 100 * expected[1, 0], atol=1e-3)
    np.testing.assert_allclose(found['HD95.liver'], expected[0, 1], atol=1e-3)


def test_undefined_cases():
    """Found but not there: Dice 1; there but not found, or neither: 0 (as released)."""
    truth = np.zeros((1, 6, 6), int)
    predicted = truth.copy()
    predicted[0, 1, 1] = 1
    ours = metric()
    ours.process({}, [sample('a', 0, predicted[0], truth[0])])
    found = ours.evaluate(1)
    assert (found['DSC.liver'], found['HD95.liver']) == (100, 0)
    assert (found['DSC.spleen'], found['HD95.spleen'], found['DSC']) == (0, 0, 50)


def test_predictions_on_another_grid_and_ignored_pixels():
    truth = np.kron(np.array([[1, 0], [0, 2]]), np.ones((4, 4), int))
    ours = metric()
    small = truth[::2, ::2]
    held_out = truth.copy()
    held_out[0, 7] = 255
    wrong = truth.copy()
    wrong[0, 7] = 2
    ours.process({}, [sample('a', 0, small, truth), sample('a', 1, wrong, held_out)])
    assert ours.evaluate(2)['DSC'] == 100


@pytest.mark.parametrize(
    ('indices', 'sizes', 'message'),
    [
        ((0, 2), (4, 4), r'case a has the slices \[0, 2\]'),
        ((1, 1), (4, 4), r'case a has the slices \[1, 1\]'),
        ((0, 1), (4, 5), r'slices of the sizes \[\(4, 4\), \(4, 5\)\]'),
    ],
)
def test_cases_that_cannot_be_put_together(indices, sizes, message):
    ours = metric()
    for index, width in zip(indices, sizes, strict=True):
        flat = np.zeros((4, width), int)
        ours.process({}, [sample('a', index, flat, flat)])
    with pytest.raises(ValueError, match=message):
        ours.evaluate(2)


def test_names_that_tell_nothing():
    with pytest.raises(ValueError, match='groups case and index'):
        metric(names=r'(?P<case>.+)')
    one = sample('a', 0, np.zeros((2, 2), int), np.zeros((2, 2), int))
    with pytest.raises(ValueError, match='does not tell case and slice'):
        metric().process({}, [one | {'img_path': 'picture.png'}])
    other = metric(names=r'(?P<case>\d+)-(?P<index>\d+)')
    other.process({}, [one | {'img_path': '7-3.png'}])
    assert (other.results[0].case, other.results[0].index) == ('7', 3)
