"""MambaBCD, MambaSCD and MambaBDA: networks over two dates, as mmseg's segmentors.

Paper: ChangeMamba, arXiv 2404.03425 (IEEE TGRS 2024). Authors' repository: ChenHongruixuan/MambaCD,
Apache-2.0. The encoder is any registered backbone; the published ones are VMamba's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional as F

from mamba_dense.change.keys import BCD_KEYS, BDA_KEYS, SCD_KEYS
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap, load_weights

DATES = 2


class ChangeDetector(EncoderDecoder):
    """A backbone over each of two dates, with shared weights, and a head over both.

    Args:
        backbone: config of any registered backbone.
        decode_head: options of the head: `channels`, `block`, `drop_path`, `loss`, ...; the widths
            of the features are asked of the neck or the backbone unless `in_channels` says them.
        neck: config of a neck, such as `mamba_dense.SimpleFeaturePyramid` over Vim.
        train_cfg, test_cfg: as of mmseg's segmentors; `dict(mode='slide', crop_size=...,
            stride=...)` predicts in windows.
        data_preprocessor: `mamba_dense.ChangePreprocessor` as a rule.
        init_cfg: `dict(type='Pretrained', checkpoint=PATH_OR_URL)` loads the authors' file of the
            whole network, or ours, strictly.

    Raises:
        ValueError: the widths of the features are neither given nor known.
    """

    HEAD: ClassVar[str]

    def __init__(
        self,
        backbone: Mapping[str, Any],
        decode_head: Mapping[str, Any] | None = None,
        neck: Mapping[str, Any] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            backbone=backbone,
            decode_head=dict(decode_head or {}),
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=ConfigDict({'mode': 'whole'} if test_cfg is None else test_cfg),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )

    def _init_decode_head(self, decode_head: Mapping[str, Any]) -> None:
        options = {'type': f'mamba_dense.{self.HEAD}', **decode_head}
        if 'in_channels' not in options:
            options['in_channels'] = self._widths()
        super()._init_decode_head(options)

    def _widths(self) -> tuple[int, ...]:
        widths = getattr(self.backbone, 'out_channels', None)
        if self.with_neck and widths is not None:
            out = self.neck.out_channels
            levels = getattr(self.neck, 'num_outs', len(widths))
            widths = (out,) * levels if isinstance(out, int) else out
        if widths is None:
            raise ValueError(
                f'{type(self.backbone).__name__} does not say the widths of its features; '
                'set decode_head=dict(in_channels=[...]), finest first.'
            )
        return tuple(widths)

    @property
    def in_channels(self) -> int:
        """Channels of the inputs: those of both dates."""
        return DATES * getattr(self.backbone, 'in_channels', 3)

    def init_weights(self) -> None:
        """Load the checkpoint that `init_cfg` names, or what the backbone's `init_cfg` names."""
        if not self.is_init and self.init_cfg and self.init_cfg.get('type') == 'Pretrained':
            load_weights(self, self.init_cfg['checkpoint'], keymap=self.AUTHOR_KEYS)
            self._is_init = True
        else:
            super().init_weights()

    def extract_feat(self, inputs: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Features of each date, of inputs (B, 6, H, W) with the first date's channels first.

        Raises:
            ValueError: an odd number of channels, which cannot be two dates.
        """
        if inputs.ndim != 4 or inputs.shape[1] % DATES:
            raise ValueError(
                f'inputs are two dates one after the other, (B, 6, H, W) for colour images; got '
                f'{tuple(inputs.shape)}.'
            )
        features = super().extract_feat(torch.cat(inputs.chunk(DATES, dim=1)))
        pre, post = zip(*[x.chunk(DATES) for x in features], strict=True)
        return pre, post

    def _forward(
        self, inputs: Tensor, _data_samples: Sequence[SegDataSample] | None = None
    ) -> dict[str, Tensor]:
        """Logits (B, classes, H, W) of every output by name, of inputs (B, 6, H, W)."""
        pre, post = self.extract_feat(inputs)
        size = tuple(inputs.shape[2:])
        return {
            name: F.interpolate(x, size=size, mode='bilinear', align_corners=False)
            for name, x in self.decode_head(pre, post).items()
        }

    def encode_decode(self, inputs: Tensor, _batch_img_metas: Sequence[Mapping]) -> Tensor:
        """All logits (B, out_channels, H, W) stacked, as mmseg's whole and sliding tests take."""
        return torch.cat(tuple(self._forward(inputs).values()), dim=1)

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """The weighted parts of the loss; samples hold `gt_NAME` (1, H, W) of every output."""
        logits = self._forward(inputs)
        labels = {
            name: torch.cat([sample.get(f'gt_{name}').data for sample in data_samples]).long()
            for name in self.decode_head.outputs
        }
        return self.decode_head.criterion(logits, labels)

    def split(self, logits: Tensor) -> dict[str, Tensor]:
        """Stacked logits (..., out_channels, H, W) by the names of the outputs."""
        outputs = self.decode_head.outputs
        return dict(zip(outputs, logits.split(tuple(outputs.values()), dim=-3), strict=True))

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Samples with `NAME_logits` (classes, H, W) and `pred_NAME` (1, H, W) of every output.

        Padding is cut off and the original size restored, as the samples' `padding_size` and
        `ori_shape` say.
        """
        found = list(data_samples or [SegDataSample() for _ in seg_logits])
        for sample, logits in zip(found, seg_logits, strict=True):
            for name, x in self.split(_restored(logits, sample.metainfo)).items():
                sample.set_data(
                    {
                        f'{name}_logits': PixelData(data=x),
                        f'pred_{name}': PixelData(data=x.argmax(dim=0, keepdim=True)),
                    }
                )
        return found


def _restored(logits: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """logits (C, H, W) without padding, in the size of the original images."""
    left, right, top, bottom = meta.get('padding_size', (0, 0, 0, 0))
    height, width = logits.shape[1:]
    logits = logits[:, top : height - bottom, left : width - right]
    size = tuple(meta.get('ori_shape', logits.shape[1:]))
    if size == tuple(logits.shape[1:]):
        return logits
    return F.interpolate(logits[None], size=size, mode='bilinear', align_corners=False)[0]


@MODELS.register_module()
class MambaBCD(ChangeDetector):
    """Binary change detection: the output `change`. Arguments: see `ChangeDetector`."""

    HEAD = 'BinaryChangeHead'
    AUTHOR_KEYS: ClassVar[KeyMap] = BCD_KEYS


@MODELS.register_module()
class MambaSCD(ChangeDetector):
    """Semantic change detection: `change`, and the land cover `pre` and `post`.

    Arguments: see `ChangeDetector`; `decode_head` takes `num_classes` of land cover.
    """

    HEAD = 'SemanticChangeHead'
    AUTHOR_KEYS: ClassVar[KeyMap] = SCD_KEYS


@MODELS.register_module()
class MambaBDA(ChangeDetector):
    """Building damage: `building` before, and its `damage`. Arguments: see `ChangeDetector`."""

    HEAD = 'DamageHead'
    AUTHOR_KEYS: ClassVar[KeyMap] = BDA_KEYS
