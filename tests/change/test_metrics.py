"""The scores beyond the recorded numbers: cases without a value, samples, several batches."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mamba_dense.change.metrics import (
    BinaryChangeMetric,
    DamageMetric,
    SemanticChangeMetric,
    binary_scores,
    confusion,
    damage_scores,
    joint_label,
    semantic_scores,
)


def sample(**maps):
    found = SegDataSample()
    for name, values in maps.items():
        found.set_data({name: PixelData(data=torch.as_tensor(values)[None])})
    return found.to_dict()


def scores(metric, *samples):
    for one in samples:
        metric.process(None, [one])
    return metric.evaluate(len(samples))


def test_rows_are_truth_and_other_truths_are_left_out():
    truth, found = np.array([0, 1, 1, 255]), np.array([1, 0, 1, 1])
    assert confusion(truth, found, 2).tolist() == [[0, 1], [1, 1]]


def test_binary_scores_by_hand():
    found = binary_scores(np.array([[50, 10], [5, 35]]))
    assert found['recall'] == 35 / 40 and found['precision'] == 35 / 45
    assert found['oa'] == 0.85 and found['iou'] == 0.7
    chance = (60 * 55 + 40 * 45) / 10_000
    assert found['kappa'] == pytest.approx((0.85 - chance) / (1 - chance))
    assert found['f1'] == pytest.approx(2 * 35 / (2 * 35 + 15))


@pytest.mark.parametrize(
    ('matrix', 'oa'),
    [([[0, 0], [0, 0]], 0.0), ([[9, 0], [0, 0]], 1.0), ([[8, 1], [0, 0]], 8 / 9)],
    ids=['no pixel', 'no change and none found', 'no change, some found'],
)
def test_binary_scores_without_a_value_are_zero(matrix, oa):
    found = binary_scores(np.array(matrix))
    assert found.pop('oa') == oa
    assert set(found.values()) == {0.0}


def test_everything_changed_and_found():
    found = binary_scores(np.array([[0, 0], [0, 9]]))
    assert found['f1'] == found['iou'] == found['oa'] == 1.0
    assert found['kappa'] == 0.0  # chance alone would agree everywhere


def test_joint_labels():
    change = np.array([0, 1, 1, 1, 1])
    pre, post = np.array([3, 1, 6, 0, 2]), np.array([2, 1, 6, 4, 0])
    assert joint_label(change, pre, post).tolist() == [0, 1, 36, 0, 0]


def test_semantic_scores_of_a_perfect_map():
    truth = dict(change=np.eye(6, dtype=int), pre=np.eye(6, dtype=int) * 2)
    truth['post'] = np.eye(6, dtype=int) * np.arange(1, 7)
    maps = {f'{kind}_{name}': values for kind in ('gt', 'pred') for name, values in truth.items()}
    found = scores(SemanticChangeMetric(), sample(**maps))
    assert found == {
        'change/oa': 1.0,
        'change/miou': 1.0,
        'change/sek': pytest.approx(1.0),
        'change/f_scd': 1.0,
        'change/kappa_n0': pytest.approx(1.0),
    }


def test_semantic_scores_without_a_value():
    """Nothing changed and nothing was found: only the unchanged class has an IoU."""
    histogram = np.zeros((37, 37), int)
    histogram[0, 0] = 100
    found = semantic_scores(histogram)
    assert found == {'miou': 0.5, 'sek': 0.0, 'f_scd': 0.0, 'kappa_n0': 0.0}
    assert semantic_scores(np.zeros((37, 37), int))['miou'] == 0.0


def test_semantic_pixels_without_a_label_are_left_out():
    ones = np.ones((4, 4), int)
    maps = {f'{kind}_{name}': ones for kind in ('gt', 'pred') for name in ('change', 'pre', 'post')}
    wrong = {**maps, 'pred_pre': ones.copy(), 'gt_post': ones.copy()}
    wrong['pred_pre'][0, 0] = 5
    assert scores(SemanticChangeMetric(), sample(**wrong))['change/oa'] == 15 / 16
    wrong['gt_post'][0, 0] = 255
    assert scores(SemanticChangeMetric(), sample(**wrong))['change/oa'] == 1.0


def test_agreement_is_the_mean_over_images_not_pixels():
    ones, names = np.ones((4, 4), int), ('change', 'pre', 'post')
    right = {f'{kind}_{name}': ones for kind in ('gt', 'pred') for name in names}
    wrong = {key: 0 * x if key.startswith('pred') else x for key, x in right.items()}
    small = {key: x[:1, :1] for key, x in wrong.items()}
    assert scores(SemanticChangeMetric(), sample(**right), sample(**small))['change/oa'] == 0.5


def test_damage_counts_on_true_buildings():
    building = np.array([[1, 1, 0], [1, 1, 255]])
    damage = np.array([[1, 2, 0], [3, 4, 4]])
    maps = dict(gt_building=building, gt_damage=damage, pred_building=0 * building)
    found = scores(DamageMetric(), sample(**maps, pred_damage=damage))
    assert found['damage/f1_loc'] == 0.0  # no building was found, their damage counts all the same
    grades = [found[f'damage/f1_{name}'] for name in DamageMetric.GRADES]
    assert grades == pytest.approx([1.0] * 4, abs=1e-6)
    assert found['damage/f1_oa'] == pytest.approx(0.7, abs=1e-6)


def test_a_grade_without_a_pixel_gives_zero():
    damage = np.diag([0, 5, 5, 5, 0])
    found = damage_scores(np.diag([5, 5]), damage)
    assert found['f1_clf'] == 0.0 and found['f1_oa'] == pytest.approx(0.3)
    assert found['f1_damage'][3] == 0.0


def test_batches_add_up():
    rng = np.random.default_rng(0)
    maps = [dict(gt_change=rng.integers(2, size=(6, 5)), pred_change=rng.integers(2, size=(6, 5)))
            for _ in range(3)]  # fmt: skip
    together = {key: np.concatenate([one[key] for one in maps]) for key in maps[0]}
    apart = scores(BinaryChangeMetric(), *[sample(**one) for one in maps])
    assert apart == scores(BinaryChangeMetric(), sample(**together))
