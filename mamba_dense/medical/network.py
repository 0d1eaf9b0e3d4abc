"""A network from image to logits, whole, as mmseg's decode head: for MONAI's and of our own."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from monai.networks.nets import UNet
from torch import Tensor, nn

from mamba_dense.registry import MODELS

MODELS.register_module(name='MonaiUNet', module=UNet)


@MODELS.register_module()
class WholeImage(BaseModule):
    """A backbone that hands the image on, for a head that is the network.

    Args:
        in_channels: channels of the image that the network takes; 1 takes the first of a picture
            that was read as three equal ones.
    """

    def __init__(self, in_channels: int = 3, *, init_cfg: Mapping[str, Any] | None = None):
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) to a tuple of (B, in_channels, H, W).

        Raises:
            ValueError: the image has fewer channels.
        """
        if x.shape[1] < self.in_channels:
            raise ValueError(
                f'the image has {x.shape[1]} channels, in_channels={self.in_channels} of the '
                'network are wanted; load it with color_type="color" or lower in_channels.'
            )
        return (x[:, : self.in_channels],)


@MODELS.register_module()
class NetworkHead(BaseDecodeHead):
    """A whole network as mmseg's decode head.

    Args:
        network: config of a module from (B, C, H, W) to logits (B, out_channels, H, W).
        in_channels: C.
        num_classes, out_channels, threshold, loss_decode, ignore_index, align_corners: of mmseg.
    """

    def __init__(
        self,
        network: Mapping[str, Any],
        *,
        in_channels: int = 3,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        loss_decode: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        ignore_index: int = 255,
        align_corners: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            in_channels,
            1,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            dropout_ratio=0,
            in_index=0,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.conv_seg = nn.Identity()  # the network ends in logits
        self.network = MODELS.build(network)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (B, out_channels, H, W) of inputs[0], (B, C, H, W)."""
        return self.network(inputs[0])
