"""CaseScores: numbers in the file's geometry, stated values, the table of cases."""

import csv
import math

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.case_metrics import CaseScores
from mamba_dense.medical.cases import Truth
from mamba_dense.medical.preparation import Preparation
from mamba_dense.medical.volume import Volume

SHAPE, SPACING = (12, 10, 8), (1.0, 2.0, 3.0)


def truth_of(labels, **preparation):
    rule = Preparation(**preparation)
    image = np.ones((1, *labels.shape), np.float32)
    volume = Volume(image, np.diag([*SPACING, 1.0]), 'x.nii.gz')
    return Truth(labels, SPACING, rule, rule.geometry(volume))


def scores_of(labels, classes=3):
    return torch.from_numpy((labels[None] == np.arange(classes)[:, None, None, None]) * 4.0).float()


def evaluate(metric, cases):
    metric.dataset_meta = {'classes': ('background', 'liver', 'tumour')}
    for name, found, truth in cases:
        metric.process({'truth': [truth]}, [{'case': name, 'scores': found}])
    return metric.evaluate(len(cases))


def block(start, stop, number=1, shape=SHAPE):
    labels = np.zeros(shape, np.uint8)
    labels[start:stop, 2:6, 2:5] = number
    return labels


def test_shifted_block(tmp_path):
    """One voxel along X, of 1 mm: Dice 3/4; every surface lies within 1 mm of the other."""
    truth = block(2, 6) + block(8, 10, number=2)
    found = block(3, 7) + block(8, 10, number=2)
    values = evaluate(CaseScores(out=tmp_path), [('a', scores_of(found), truth_of(truth))])
    assert values['Dice.liver'] == 0.75 and values['Dice.tumour'] == 1
    assert values['Dice'] == 0.875
    assert (values['HD95.liver'], values['HD95.tumour']) == (1, 0)
    assert values['NSD'] == 1
    tight = evaluate(CaseScores(tolerance=[0.4, 1.0]), [('a', scores_of(found), truth_of(truth))])
    assert tight['NSD.liver'] < 1 and tight['NSD.tumour'] == 1
    with (tmp_path / 'case_scores.csv').open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['case', 'class', 'Dice', 'HD95', 'NSD']
    assert rows[1][:4] == ['a', 'liver', '0.75000', '1.00000']


def test_mean_is_of_cases_then_of_classes():
    full, half = block(2, 6), block(2, 4)
    cases = [
        ('a', scores_of(full), truth_of(full)),
        ('b', scores_of(half), truth_of(full)),
    ]
    values = evaluate(CaseScores(scores=('dice',)), cases)
    assert values == {
        'Dice': pytest.approx((5 / 6 + 1) / 2, abs=1e-5),
        'Dice.liver': pytest.approx((1 + 2 / 3) / 2, abs=1e-5),
        'Dice.tumour': 1.0,  # in no case, found in none
    }


def test_scores_are_taken_back_to_the_file():
    """Prepared with other axes and spacing, the score is of the voxels of the file."""
    labels = block(2, 6)
    truth = truth_of(labels, spacing=(1.0, 1.0, 1.0), axes=(2, 0, 1))
    scores = np.stack([
        truth.preparation.labels((labels == k).astype(np.uint8), truth.geometry) for k in range(3)
    ])  # fmt: skip
    assert scores.shape[1:] == (24, 12, 20)
    values = evaluate(CaseScores(), [('a', torch.from_numpy(scores).float(), truth)])
    assert (values['Dice.liver'], values['HD95.liver']) == (1, 0)


def test_empty_masks_have_stated_values():
    diagonal = math.hypot(*(n * mm for n, mm in zip(SHAPE, SPACING, strict=True)))
    empty, there = np.zeros(SHAPE, np.uint8), block(2, 6)
    for found, truth, expected in (
        (empty, empty, (1, 0, 1)),
        (empty, there, (0, diagonal, 0)),
        (there, empty, (0, diagonal, 0)),
    ):
        values = evaluate(CaseScores(), [('a', scores_of(found, 2), truth_of(truth))])
        assert (values['Dice'], values['NSD']) == (expected[0], expected[2])
        assert values['HD95'] == pytest.approx(expected[1], abs=1e-4)


def test_one_voxel_thick():
    labels = block(0, 1, shape=(1, 10, 8))
    values = evaluate(CaseScores(), [('a', scores_of(labels, 2), truth_of(labels))])
    assert values == {'Dice': 1.0, 'HD95': 0.0, 'NSD': 1.0}


def test_refusals():
    with pytest.raises(ValueError, match='known are dice, hd95, nsd'):
        CaseScores(scores=('iou',))
    with pytest.raises(ValueError, match='case a has no mask'):
        evaluate(CaseScores(), [('a', scores_of(block(1, 2)), None)])
    with pytest.raises(ValueError, match='none for class 2'):
        evaluate(
            CaseScores(tolerance=[1.0]), [('a', scores_of(block(1, 2)), truth_of(block(1, 2)))]
        )
