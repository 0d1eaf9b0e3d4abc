"""nnU-Net's loss, on logits: cross entropy and the negative soft Dice of the foreground classes."""

from monai.losses import DiceLoss
from torch import Tensor

from mamba_dense.medical.losses import ClassLoss
from mamba_dense.registry import MODELS


@MODELS.register_module()
class NnUNetLoss(ClassLoss):
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
        self.soft_dice = DiceLoss(
            include_background=False,
            smooth_nr=self.SMOOTH,
            smooth_dr=self.SMOOTH,
            batch=batch_dice,
        )

    def dice(self, probability: Tensor, target: Tensor) -> Tensor:
        return self.soft_dice(probability, target) - 1
