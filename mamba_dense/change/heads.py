"""What a change network says: outputs by name from the features of two dates, and their loss."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmengine.model import BaseModule
from torch import Tensor, nn

from mamba_dense.change.decoder import ChangeDecoder, SemanticDecoder
from mamba_dense.change.losses import (
    BinaryChangeLoss,
    ChangeLoss,
    DamageLoss,
    SemanticChangeLoss,
)
from mamba_dense.registry import MODELS


class ChangeHead(BaseModule):
    """Base of the heads: named outputs, each with its number of classes.

    Args:
        in_channels: widths of the features of one date, finest first.
        channels, block, drop_path: see `ChangeDecoder`.
        loss: weights of parts of the loss that differ from the published ones.

    Attributes:
        outputs: name -> classes, in the order of the channels of all logits stacked.
    """

    OUTPUTS: ClassVar[Mapping[str, int]]
    LOSS: ClassVar[type[ChangeLoss]]
    align_corners = False

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 128,
        *,
        block: Mapping[str, Any] | None = None,
        drop_path: float = 0.1,
        loss: Mapping[str, float] | None = None,
    ):
        super().__init__()
        self.in_channels = tuple(in_channels)
        self.channels = channels
        self.outputs = dict(self.OUTPUTS)
        self.criterion = self.LOSS(loss)
        options = {'block': block, 'drop_path': drop_path}
        self._build(options)

    @property
    def num_classes(self) -> int:
        """Classes of the first output."""
        return next(iter(self.outputs.values()))

    @property
    def out_channels(self) -> int:
        """Channels of all logits stacked."""
        return sum(self.outputs.values())

    @abstractmethod
    def _build(self, options: Mapping[str, Any]) -> None:
        raise TypeError(f'{type(self).__name__} does not define its parts.')

    @abstractmethod
    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> dict[str, Tensor]:
        """Features (B, C_i, H_i, W_i) of each date to logits (B, classes, H_0, W_0) by name."""
        raise TypeError(f'{type(self).__name__} does not define its outputs.')


@MODELS.register_module()
class BinaryChangeHead(ChangeHead):
    """`change`: changed (1) or not (0). Arguments: see `ChangeHead`."""

    OUTPUTS: ClassVar = {'change': 2}
    LOSS = BinaryChangeLoss

    def _build(self, options: Mapping[str, Any]) -> None:
        self.decoder = ChangeDecoder(self.in_channels, self.channels, **options)
        self.classifier = nn.Conv2d(self.channels, self.outputs['change'], 1)

    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> dict[str, Tensor]:
        """See `ChangeHead.forward`."""
        return {'change': self.classifier(self.decoder(pre, post))}


@MODELS.register_module()
class SemanticChangeHead(ChangeHead):
    """`change` as above; `pre` and `post`: land cover of each date, 0 for unchanged.

    The land cover of both dates has one classifier and two decoders.

    Args:
        num_classes: of land cover, 0 included.
        in_channels, channels, block, drop_path, loss: see `ChangeHead`.
    """

    OUTPUTS: ClassVar = {'change': 2, 'pre': 7, 'post': 7}
    LOSS = SemanticChangeLoss

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 128,
        *,
        num_classes: int = 7,
        block: Mapping[str, Any] | None = None,
        drop_path: float = 0.1,
        loss: Mapping[str, float] | None = None,
    ):
        self._classes = num_classes
        super().__init__(in_channels, channels, block=block, drop_path=drop_path, loss=loss)

    def _build(self, options: Mapping[str, Any]) -> None:
        self.outputs.update(pre=self._classes, post=self._classes)
        self.decoder = ChangeDecoder(self.in_channels, self.channels, **options)
        self.pre_decoder = SemanticDecoder(self.in_channels, self.channels, **options)
        self.post_decoder = SemanticDecoder(self.in_channels, self.channels, **options)
        self.classifier = nn.Conv2d(self.channels, self.outputs['change'], 1)
        self.cover_classifier = nn.Conv2d(self.channels, self._classes, 1)

    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> dict[str, Tensor]:
        """See `ChangeHead.forward`."""
        return {
            'change': self.classifier(self.decoder(pre, post)),
            'pre': self.cover_classifier(self.pre_decoder(pre)),
            'post': self.cover_classifier(self.post_decoder(post)),
        }


@MODELS.register_module()
class DamageHead(ChangeHead):
    """`building`: a building stood there (1) or not; `damage`: its grade, 1 (none) to 4, or 0.

    Arguments: see `ChangeHead`.
    """

    OUTPUTS: ClassVar = {'building': 2, 'damage': 5}
    LOSS = DamageLoss

    def _build(self, options: Mapping[str, Any]) -> None:
        self.decoder = ChangeDecoder(self.in_channels, self.channels, **options)
        self.building_decoder = SemanticDecoder(self.in_channels, self.channels, **options)
        self.classifier = nn.Conv2d(self.channels, self.outputs['damage'], 1)
        self.building_classifier = nn.Conv2d(self.channels, self.outputs['building'], 1)

    def forward(self, pre: Sequence[Tensor], post: Sequence[Tensor]) -> dict[str, Tensor]:
        """See `ChangeHead.forward`."""
        return {
            'building': self.building_classifier(self.building_decoder(pre)),
            'damage': self.classifier(self.decoder(pre, post)),
        }
