"""Losses of the medical networks, on logits: cross entropy and soft Dice added up.

Pixels labelled `ignore_index` take no part. All sums are in float32 at least.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.registry import MODELS


def binary_dice(probability: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - mean over the batch of (2 sum pt + smooth) / (sum p + sum t + smooth): a scalar.

    Args:
        probability, target, valid: (B, ...); what is not valid does not count.
        smooth: keeps an empty image defined: 1 - 1 = 0 where nothing is there and nothing found.
    """
    p = (probability * valid).flatten(1)
    t = (target * valid).flatten(1)
    score = (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth)
    return 1 - score.mean()


def class_dice(probability: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """Mean over the classes of 1 - (2 sum pt + smooth) / (sum p^2 + sum t^2 + smooth): a scalar.

    The sums run over batch and places; the background is a class.

    Args:
        probability, target: (B, classes, ...), both 0 where a place does not count.
        smooth: keeps an absent class defined.
    """
    axes = [0, *range(2, probability.ndim)]
    overlap = (probability * target).sum(axes)
    total = probability.square().sum(axes) + target.square().sum(axes)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def _at_least_single(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class PixelDiceLoss(nn.Module):
    """A weighted sum of a loss of each pixel, averaged, and a Dice loss; `SMOOTH` is the Dice's."""

    SMOOTH: float

    def __init__(
        self,
        *,
        pixel_weight: float = 1.0,
        dice_weight: float = 1.0,
        loss_name: str = 'loss_pixel_dice',
    ):
        super().__init__()
        self.pixel_weight = pixel_weight
        self.dice_weight = dice_weight
        self.loss_name = loss_name

    def _sum(self, each: Tensor, valid: Tensor, weight: Tensor | None, dice: Tensor) -> Tensor:
        """`each` pixel's loss where `valid`, times its `weight`, and `dice`: a scalar."""
        each = each * valid if weight is None else each * valid * weight
        return self.pixel_weight * each.sum() / valid.sum().clamp(min=1) + self.dice_weight * dice


@MODELS.register_module()
class BceDiceLoss(PixelDiceLoss):
    """Binary cross entropy and Dice of one foreground (VM-UNet's loss on ISIC, arXiv 2402.02491).

    Args:
        pixel_weight, dice_weight: of the cross entropy and of the Dice term.
        loss_name: key of the result; begins with `loss`.
    """

    SMOOTH = 1.0

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """A scalar.

        Args:
            logits: (B, 1, *spatial).
            label: (B, *spatial), 0 or 1; fractions are allowed.
            weight: (B, *spatial), of the pixels' cross entropy.
            ignore_index: label of pixels that do not count.

        Raises:
            ValueError: more than one channel of logits.
        """
        if logits.shape[1] != 1:
            raise ValueError(
                f'BceDiceLoss takes one channel of logits, got {logits.shape[1]}; use '
                'num_classes=2, out_channels=1 in the head, or CeDiceLoss.'
            )
        logits = _at_least_single(logits).squeeze(1)
        valid = torch.ones_like(logits) if ignore_index is None else (label != ignore_index)
        valid = valid.to(logits.dtype)
        target = label.to(logits.dtype) * valid
        each = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        dice = binary_dice(logits.sigmoid(), target, valid, self.SMOOTH)
        return self._sum(each, valid, weight, dice)


class ClassLoss(PixelDiceLoss):
    """Cross entropy of all classes and a Dice loss that a subclass defines."""

    @abstractmethod
    def dice(self, probability: Tensor, target: Tensor) -> Tensor:
        """A scalar of (B, classes, *spatial), both 0 where a place does not count."""
        raise TypeError(f'{type(self).__name__} does not define dice.')

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """A scalar.

        Args:
            logits: (B, classes, *spatial).
            label: (B, *spatial), class numbers.
            weight: (B, *spatial), of the pixels' cross entropy.
            ignore_index: label of pixels that do not count, in either term.

        Raises:
            ValueError: fewer than two channels of logits.
        """
        if logits.shape[1] < 2:
            raise ValueError(
                f'{type(self).__name__} takes two channels of logits or more, got '
                f'{logits.shape[1]}; use BceDiceLoss for one.'
            )
        logits = _at_least_single(logits)
        label = label.long()
        valid = torch.ones_like(label, dtype=torch.bool)
        if ignore_index is not None:
            valid = label != ignore_index
        label = torch.where(valid, label, 0)
        each = F.cross_entropy(logits, label, reduction='none')
        mask = valid.unsqueeze(1).to(logits.dtype)
        target = F.one_hot(label, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
        return self._sum(each, valid, weight, self.dice(logits.softmax(1) * mask, target * mask))


@MODELS.register_module()
class CeDiceLoss(ClassLoss):
    """Cross entropy and Dice of all classes (VM-UNet's loss on Synapse, arXiv 2402.02491).

    Args:
        pixel_weight, dice_weight: of the cross entropy and of the Dice term.
        loss_name: key of the result; begins with `loss`.
    """

    SMOOTH = 1e-5

    def dice(self, probability: Tensor, target: Tensor) -> Tensor:
        return class_dice(probability, target, self.SMOOTH)
