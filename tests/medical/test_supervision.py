"""Losses at several resolutions, against the formula."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.supervision import halving_weights, shrink, supervised


def cross_entropy(logits, label, ignore_index):
    return F.cross_entropy(logits, label.long(), ignore_index=ignore_index)


def test_weights_halve_and_the_coarsest_has_none():
    assert halving_weights(1) == (1.0,)
    assert halving_weights(3) == pytest.approx((2 / 3, 1 / 3, 0.0))
    assert sum(halving_weights(6)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match='count=0'):
        halving_weights(0)


@pytest.mark.parametrize('spatial', [(8, 12), (4, 8, 12)], ids=str)
def test_sum_over_the_maps(spatial):
    torch.manual_seed(0)
    label = torch.randint(3, (2, *spatial))
    label[0, 0] = 255
    halves = [size // 2 for size in spatial]
    maps = [torch.randn(2, 3, *spatial), torch.randn(2, 3, *halves), torch.full((2, 3, 1, 1), 1e9)]
    found = supervised(cross_entropy, maps, label, (0.75, 0.25, 0.0))
    small = label[(slice(None), *[slice(None, None, 2)] * len(spatial))]
    whole, half = (cross_entropy(m, t, 255) for m, t in zip(maps, (label, small), strict=False))
    torch.testing.assert_close(found, 0.75 * whole + 0.25 * half)


def test_shrinking_keeps_labels():
    label = torch.tensor([[[0, 255], [7, 1]]])
    assert torch.equal(shrink(label, (2, 2)), label)
    assert shrink(label.repeat_interleave(2, 1), (2, 2)).tolist() == label.tolist()


def test_refusals():
    with pytest.raises(ValueError, match=r'gives 2 map\(s\).*weighs 1'):
        supervised(cross_entropy, [torch.zeros(1, 2, 4, 4)] * 2, torch.zeros(1, 4, 4), (1.0,))
    with pytest.raises(ValueError, match='must not be 0'):
        supervised(cross_entropy, [torch.zeros(1, 2, 4, 4)], torch.zeros(1, 4, 4), (0.0,))
