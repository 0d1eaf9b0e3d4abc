"""The losses beyond the recorded numbers: definitions, gradients, nothing to count."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmseg', reason='needs the extra change')

from mamba_dense.change.losses import (
    BinaryChangeLoss,
    DamageLoss,
    SemanticChangeLoss,
    cross_entropy,
    lovasz_softmax,
    similarity,
)

SIZE = (2, 5, 6)


def sharp(labels, classes):
    """Logits that are certain of `labels`."""
    return 200.0 * F.one_hot(labels, classes).movedim(-1, 1).double()


def test_cross_entropy_is_that_of_torch():
    logits, labels = torch.randn(2, 3, 5, 6), torch.randint(3, SIZE)
    labels[0, 0] = 255
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_lovasz_is_the_jaccard_loss_of_certain_answers():
    """On the corners of its cube the extension is the loss itself, 1 - IoU, mean over classes."""
    truth, found = torch.randint(3, SIZE), torch.randint(3, SIZE)
    expected = []
    for c in truth.unique():
        both = ((truth == c) & (found == c)).sum()
        either = ((truth == c) | (found == c)).sum()
        expected.append(1 - both / either)
    loss = lovasz_softmax(sharp(found, 3), truth)
    torch.testing.assert_close(loss, torch.stack(expected).mean().double())
    assert lovasz_softmax(sharp(truth, 3), truth) < 1e-80


def test_lovasz_counts_present_classes_and_labelled_pixels_alone():
    logits, labels = torch.randn(2, 4, 5, 6), torch.randint(2, SIZE)
    labels[:, 2] = 255
    logits[:, :, 2] = float('nan')  # what is ignored reaches nothing
    assert lovasz_softmax(logits, labels).isfinite()


def test_gradients_are_right():
    logits = torch.randn(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(3, (1, 3, 4))
    labels[0, 0, 0] = 255
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x, labels), logits)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels), logits)


@pytest.mark.parametrize('loss', [cross_entropy, lovasz_softmax])
def test_nothing_to_count_is_zero(loss):
    logits = torch.randn(2, 3, 5, 6, requires_grad=True)
    value = loss(logits, torch.full(SIZE, 255))
    value.backward()
    assert value == 0 and not logits.grad.any()


def test_similarity_is_taken_where_nothing_changed():
    pre, post = torch.randn(2, 7, 5, 6), torch.randn(2, 7, 5, 6)
    assert similarity(pre, post, torch.ones(SIZE)) == 0
    labels = torch.ones(SIZE)
    labels[0, 1, 2] = 255
    gap = pre.softmax(1)[0, :, 1, 2] - post.softmax(1)[0, :, 1, 2]
    expected = gap.square().sum() / pre.numel()
    torch.testing.assert_close(similarity(pre, post, labels), expected)


def test_weights_and_totals():
    logits = {'change': torch.randn(2, 2, 5, 6)}
    labels = {'change': torch.randint(2, SIZE)}
    loss = BinaryChangeLoss({'lovasz': 2.0})
    parts, weighted = loss.parts(logits, labels), loss(logits, labels)
    assert weighted == {'loss_ce': parts['ce'], 'loss_lovasz': 2.0 * parts['lovasz']}
    with pytest.raises(ValueError, match=r"no parts \['dice'\]; its parts: ce, lovasz"):
        BinaryChangeLoss({'dice': 1.0})


def test_unchanged_land_and_open_ground_are_not_supervised():
    logits = {
        'change': torch.randn(2, 2, 5, 6),
        'pre': torch.randn(2, 7, 5, 6),
        'post': torch.randn(2, 7, 5, 6),
    }
    nothing = torch.zeros(SIZE, dtype=torch.long)
    parts = SemanticChangeLoss().parts(logits, dict.fromkeys(logits, nothing))
    assert parts['ce_pre'] == parts['lovasz_post'] == 0 and parts['similarity'] > 0
    logits = {'building': torch.randn(2, 2, 5, 6), 'damage': torch.randn(2, 5, 5, 6)}
    parts = DamageLoss().parts(logits, dict.fromkeys(logits, nothing))
    assert parts['ce_damage'] == 0 and parts['ce_building'] > 0
