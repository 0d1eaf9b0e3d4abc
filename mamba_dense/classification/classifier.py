"""A backbone and a head as one classifier, trained and tested by mmengine's runner."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from ..registry import MODELS
from ..weights import KeyMap, load_weights


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Logits of the backbone's last feature; the whole network of the authors' ImageNet files.

    Args:
        backbone: config of a registered backbone that gives one feature, unless the head takes them
            all as `HiddenStateFusion` does: VMamba with
            `out_indices=(3,)` and `output_norm=False`, as `NormPoolLinear` has a norm of its own;
            Vim with `feature='class_token'`; MobileMamba with `out_indices=(2,)`.
        head: config of a registered head: `NormPoolLinear` for VMamba and its kin, `PoolNormMlp`
            for MambaOut, `PoolNormLinear` for MobileMamba, `TokenLinear` for Vim.
        data_preprocessor: as in any mmengine model.
        init_cfg: `dict(type='Pretrained', checkpoint=PATH_OR_URL)` loads the authors' file.

    Raises:
        ValueError: the backbone returns other than one feature.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        self.every_feature = getattr(self.head, 'every_feature', False)
        if not self.every_feature and len(self.backbone.out_channels) != 1:
            raise ValueError(
                f'a classifier needs one feature, out_indices={self.backbone.out_indices} give '
                f'{len(self.backbone.out_channels)}; set out_indices to the last stage.'
            )

    @property
    def AUTHOR_KEYS(self) -> KeyMap:
        """The map of the authors' classification files to this network."""
        return self.backbone.CLASSIFIER_KEYS

    def init_weights(self) -> None:
        """Load the checkpoint that `init_cfg` names, or what the backbone's `init_cfg` names."""
        if not self.is_init and self.init_cfg and self.init_cfg.get('type') == 'Pretrained':
            load_weights(self, self.init_cfg['checkpoint'], keymap=self.AUTHOR_KEYS)
            self._is_init = True
        else:
            super().init_weights()

    def forward(
        self, inputs: Tensor, data_samples: Tensor | None = None, mode: str = 'tensor'
    ) -> Tensor | tuple[Tensor, Tensor] | dict[str, Tensor]:
        """Run the network.

        Args:
            inputs: images (B, in_channels, H, W).
            data_samples: class labels (B,), needed by mode 'loss'; (B, 2) for a head with a
                distillation branch, the truth and the teacher's class.
            mode: 'tensor' for logits (B, num_classes), 'predict' for class probabilities of the
                same shape, 'loss' for a dict with the cross entropy. While a head with distillation
                trains, 'tensor' gives the pair of its logits, 'predict' the probabilities of
                their mean and 'loss' the mean of their cross entropies.

        Raises:
            ValueError: another mode, or 'loss' without labels.
        """
        if mode not in ('tensor', 'predict', 'loss'):
            raise ValueError(f"mode={mode!r} must be 'tensor', 'predict' or 'loss'.")
        features = self.backbone(inputs)
        features = features if self.every_feature else features[0]
        if mode == 'loss':
            return {'loss': self._loss(features, data_samples)}
        logits = self.head(features)
        if mode == 'tensor':
            return logits
        several = logits if isinstance(logits, tuple) else (logits,)
        return (sum(several) / len(several)).softmax(dim=-1)

    def _loss(self, features: Tensor | tuple[Tensor, ...], labels: Tensor | None) -> Tensor:
        """The cross entropy, or the mean of the branches' where the head has several."""
        if labels is None:
            raise ValueError("mode='loss' needs the labels as data_samples (B,), got None.")
        branches = getattr(self.head, 'logits', None)
        logits = branches(features) if branches else self.head(features)
        logits = logits if isinstance(logits, (tuple, list)) else [logits]
        targets = labels.reshape(len(labels), -1).unbind(dim=1)
        if branches is None and len(targets) == 1:
            targets = targets * len(logits)  # both branches learn from the truth
        if len(targets) != len(logits):
            raise ValueError(
                f'data_samples={tuple(labels.shape)} must hold {len(logits)} labels a picture, one '
                "for each branch of the head: the truth, then the teacher's class."
            )
        losses = [F.cross_entropy(z, t) for z, t in zip(logits, targets, strict=True)]
        return torch.stack(losses).mean()
