"""nnU-Net's loss, on logits: cross entropy and the negative soft Dice of the foreground classes."""

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional as F

from mamba_dense.medical.losses import _at_least_single, _PixelDiceLoss
from mamba_dense.registry import MODELS


@MODELS.register_module()
class NnUNetLoss(_PixelDiceLoss):
    """Cross entropy minus the soft Dice of the foreground (nnU-Net, Nature Methods 18, 203 (2021)).

    Dice of a class: (2 sum pt + 1e-5) / (sum p + sum t + 1e-5), p the softmax, without squares; the
    background, class 0, has no part in it. It is MONAI's `DiceLoss` less 1: the value goes down to
    -1, where MONAI's `DiceCELoss` goes down to 0; the gradients are the same. What MONAI's lacks is
    places that do not count.

    Args:
        batch_dice: sum over the whole batch before dividing, as nnU-Net's 2-D plans do; else over
            each sample.
        pixel_weight, dice_weight: of the cross entropy and of the Dice term.
        loss_name: key of the result; begins with `loss`.
    """

    SMOOTH = 1e-5

    def __init__(
        self,
        *,
        batch_dice: bool = False,
        pixel_weight: float = 1.0,
        dice_weight: float = 1.0,
        loss_name: str = 'loss_nnunet',
    ):
        super().__init__(pixel_weight=pixel_weight, dice_weight=dice_weight, loss_name=loss_name)
        self.dice = DiceLoss(
            include_background=False,
            smooth_nr=self.SMOOTH,
            smooth_dr=self.SMOOTH,
            batch=batch_dice,
        )

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
            ignore_index: label of places that do not count, in either term.

        Raises:
            ValueError: fewer than two channels of logits.
        """
        if logits.shape[1] < 2:
            raise ValueError(
                f'NnUNetLoss takes two channels of logits or more, got {logits.shape[1]}; use '
                'BceDiceLoss for one.'
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
        dice = self.dice(logits.softmax(1) * mask, target * mask) - 1
        return self._sum(each, valid, weight, dice)
