"""A medical decoder as mmseg's decode head; without one, the end of a whole network."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor, nn

from mamba_dense.medical.supervision import supervised
from mamba_dense.registry import MODELS


@MODELS.register_module()
class DecoderHead(BaseDecodeHead):
    """A decoder that ends in logits, as mmseg's decode head, with deep supervision.

    Args:
        decoder: config of a module from the backbone's maps to a tuple of logits (B, K, H_i, W_i),
            full resolution first; None: the backbone is a whole network and gives the logits, one
            map or a tuple (MONAI's: `backbone=dict(type='monai.networks.nets.UNet', ...)`).
        in_channels: widths of the backbone's maps, for mmseg's record.
        num_classes, out_channels, threshold, loss_decode, ignore_index, align_corners: of mmseg;
            the K of the decoder is `out_channels`, `num_classes` by default.
        supervision: weight of the loss at each map, see `supervision.halving_weights`.
    """

    def __init__(
        self,
        decoder: Mapping[str, Any] | None = None,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        loss_decode: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        supervision: Sequence[float] = (1.0,),
        ignore_index: int = 255,
        align_corners: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        single = isinstance(in_channels, int)
        super().__init__(
            in_channels if single else list(in_channels),
            1,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            dropout_ratio=0,
            in_index=0 if single else list(range(len(in_channels))),
            input_transform=None if single else 'multiple_select',
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.conv_seg = nn.Identity()  # the decoder ends in logits
        self.decoder = None if decoder is None else MODELS.build(decoder)
        self.supervision = tuple(supervision)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Logits (B, out_channels, H_i, W_i), full resolution first.

        Args:
            inputs: the backbone's maps (B, C_i, H_i, W_i), finest first, or logits.

        Raises:
            ValueError: the logits have another number of channels than `out_channels`.
        """
        maps = inputs if self.decoder is None else self.decoder(inputs)
        maps = (maps,) if isinstance(maps, Tensor) else tuple(maps)
        if maps[0].shape[1] != self.out_channels:
            raise ValueError(
                f'the network gives {maps[0].shape[1]} channels of logits, the head has '
                f'out_channels={self.out_channels} (num_classes={self.num_classes}); make the '
                'decoder or network end in that many.'
            )
        return maps

    def loss_by_feat(
        self, seg_logits: Sequence[Tensor], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Each loss of `loss_decode`, summed over the maps by `supervision`."""
        label = self._stack_batch_gt(batch_data_samples).squeeze(1)  # (B, H, W)
        single = not isinstance(self.loss_decode, nn.ModuleList)
        losses: dict[str, Tensor] = {}
        for loss in [self.loss_decode] if single else self.loss_decode:
            value = supervised(loss, seg_logits, label, self.supervision, self.ignore_index)
            name = loss.loss_name
            losses[name] = losses[name] + value if name in losses else value
        return losses

    def predict_by_feat(self, seg_logits: Sequence[Tensor], batch_img_metas: list[dict]) -> Tensor:
        """Full-resolution logits (B, out_channels, H, W) at the size of the batch's images."""
        return super().predict_by_feat(seg_logits[0], batch_img_metas)
