"""Losses by hand, ignored pixels, empty masks, half precision, refusals."""

import math

import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical import BceDiceLoss, CeDiceLoss, NnUNetLoss


def test_binary_by_hand():
    """Two pixels at 1/2, one of them foreground: ln 2, and a Dice of (1 + 1) / (1 + 1 + 1)."""
    logits, label = torch.zeros(1, 1, 1, 2), torch.tensor([[[0, 1]]])
    assert float(BceDiceLoss(dice_weight=0)(logits, label)) == pytest.approx(math.log(2))
    assert float(BceDiceLoss(pixel_weight=0)(logits, label)) == pytest.approx(1 - 2 / 3)


def test_classes_by_hand():
    """Two classes at 1/2 each: cross entropy ln 2, Dice 2 * 0.5 / (0.25 * 2 + 1) for each."""
    logits, label = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    assert float(CeDiceLoss(dice_weight=0)(logits, label)) == pytest.approx(math.log(2))
    assert float(CeDiceLoss(pixel_weight=0)(logits, label)) == pytest.approx(1 - 1 / 1.5, rel=1e-4)


@pytest.mark.parametrize(
    ('loss', 'channels'),
    [(BceDiceLoss(), 1), (CeDiceLoss(), 3), (NnUNetLoss(), 3), (NnUNetLoss(batch_dice=True), 3)],
    ids=['bce', 'ce', 'nnunet', 'nnunet-batch'],
)
def test_ignored_pixels_change_nothing(loss, channels):
    torch.manual_seed(0)
    logits, label = torch.randn(2, channels, 4, 6), torch.randint(2, (2, 4, 6))
    want = loss(logits[..., :3], label[..., :3])
    label[..., 3:] = 255
    logits = logits.requires_grad_()
    found = loss(logits, label)
    torch.testing.assert_close(found, want)
    found.backward()
    assert not logits.grad[..., 3:].any()
    label[:] = 255
    assert torch.isfinite(loss(logits, label))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_sums_in_single(dtype):
    logits = torch.full((1, 1, 512, 512), 6.0, dtype=dtype)
    label = torch.ones(1, 512, 512, dtype=torch.long)
    found = BceDiceLoss()(logits, label)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, BceDiceLoss()(logits.float(), label))


def test_empty_masks():
    """Nothing there and nothing found costs nothing; an absent class keeps the Dice finite."""
    label = torch.zeros(1, 8, 8, dtype=torch.long)
    assert float(BceDiceLoss()(torch.full((1, 1, 8, 8), -30.0), label)) < 1e-6
    logits = torch.zeros(1, 3, 8, 8)
    logits[:, 0] = 30.0
    assert float(CeDiceLoss()(logits, label)) < 1e-6
    assert float(NnUNetLoss()(logits, label)) == pytest.approx(-1.0, abs=1e-6)


def test_nnunet_by_hand():
    """Two pixels at 1/2 each, one of them of class 1: Dice 2 * 0.5 / (1 + 1), as a negative."""
    logits, label = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    assert float(NnUNetLoss(dice_weight=0)(logits, label)) == pytest.approx(math.log(2))
    assert float(NnUNetLoss(pixel_weight=0)(logits, label)) == pytest.approx(-0.5, rel=1e-4)


@pytest.mark.parametrize('batch', [False, True], ids=['sample', 'batch'])
@pytest.mark.parametrize('size', [(8, 6), (4, 6, 5)], ids=['2d', '3d'])
def test_nnunet_is_monai_less_one(batch, size):
    from monai.losses import DiceCELoss

    torch.manual_seed(0)
    logits, label = torch.randn(2, 4, *size).double(), torch.randint(4, (2, *size))
    monai = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=batch)
    found = NnUNetLoss(batch_dice=batch)(logits, label)
    assert float(found) == pytest.approx(float(monai(logits, label.unsqueeze(1))) - 1, abs=1e-12)


def test_refusals():
    label = torch.zeros(1, 2, 2, dtype=torch.long)
    with pytest.raises(ValueError, match='one channel of logits, got 3'):
        BceDiceLoss()(torch.zeros(1, 3, 2, 2), label)
    with pytest.raises(ValueError, match='two channels of logits or more, got 1'):
        CeDiceLoss()(torch.zeros(1, 1, 2, 2), label)
    with pytest.raises(ValueError, match='two channels of logits or more, got 1'):
        NnUNetLoss()(torch.zeros(1, 1, 2, 2), label)
