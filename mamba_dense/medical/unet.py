"""VM-UNet and MHS-UNet over mmseg: a staged backbone, and a decoder of the same blocks.

Papers: VM-UNet, arXiv 2402.02491 (JCruan519/VM-UNet, Apache-2.0); MHS-VM, arXiv 2406.05992
(PixDeep/MHS-VM, Apache-2.0).

The decoder mirrors the encoder. What an encoder stage begins with is added to what the decoder has
at that resolution, before it expands; the finest of these maps is not used. What differs here:
networks return logits (the authors' return probabilities where there is one class), any staged
backbone can lead, and any image size works: where the way down rounded up, the way up is cut.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mamba_dense.backbones import MHSVM, VMamba, mhs_vm, vmamba
from mamba_dense.backbones.base import resolve_arch
from mamba_dense.bricks import PatchExpand
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap, load_weights

FINAL = 4  # the last expansion: from the stem's grid to the image's


class UpStage(nn.Module):
    """The way up from the coarser grid, but for the first stage, then blocks."""

    def __init__(self, blocks: Sequence[nn.Module], upsample: nn.Module | None):
        super().__init__()
        self.upsample = upsample
        self.blocks = nn.ModuleList(blocks)


class UpHead(BaseDecodeHead):
    """A decoder of the encoder's blocks; a family says what a block is.

    Args:
        in_channels: widths of the encoder's stages, finest first.
        arch: of the blocks: a variant's name, or a mapping of fields with `base`.
        depths: blocks of each stage, coarsest first.
        drop_path_rate: rate of the first, coarsest block, falling linearly to 0.
        num_classes, out_channels, threshold, loss_decode, ignore_index, align_corners: of mmseg;
            `num_classes=2, out_channels=1, threshold=0.5` for one foreground.

    Raises:
        ValueError: `depths` and `in_channels` differ in length, or the first width does not allow
            the last expansion.
    """

    FAMILY: type

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        arch: str | Mapping[str, Any],
        depths: Sequence[int],
        num_classes: int,
        drop_path_rate: float = 0.2,
        out_channels: int | None = None,
        threshold: float | None = None,
        loss_decode: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        ignore_index: int = 255,
        align_corners: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        widths = tuple(in_channels)
        if len(depths) != len(widths) or widths[0] % FINAL:
            raise ValueError(
                f'depths={tuple(depths)} and in_channels={widths} must have one entry for each '
                f'stage, and the first width must be a multiple of {FINAL}.'
            )
        super().__init__(
            list(widths),
            widths[0] // FINAL,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            dropout_ratio=0,
            in_index=list(range(len(widths))),
            input_transform='multiple_select',
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.arch = resolve_arch(self.FAMILY.__name__, self.FAMILY.ARCHS, arch)
        rates = torch.linspace(drop_path_rate, 0, sum(depths), device='cpu').tolist()
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            width = widths[-1 - i]
            blocks = [self.make_block(width, rates.pop(0)) for _ in range(depth)]
            self.stages.append(UpStage(blocks, PatchExpand(widths[-i], width) if i else None))
        self.final_up = PatchExpand(widths[0], self.channels, factor=FINAL)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)

    @abstractmethod
    def make_block(self, width: int, drop_path: float) -> nn.Module:
        """One block over (B, H, W, width)."""
        raise TypeError(f'{type(self).__name__} does not define make_block.')

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of the encoder's maps.

        Args:
            inputs: what each stage begins with, finest first, then what the last one gives, all
                (B, H_i, W_i, C_i): `VMUNet.extract_feat`.

        Returns:
            (B, out_channels, 4 * H_0, 4 * W_0).
        """
        *skips, x = inputs
        for i, stage in enumerate(self.stages):
            if stage.upsample is not None:
                height, width = skips[-1 - i].shape[1:3]
                x = stage.upsample(x + skips[-i])[:, :height, :width]
            for block in stage.blocks:
                x = block(x)
        x = self.final_up(x).permute(0, 3, 1, 2)  # (B, C, H, W)
        return self.cls_seg(x.contiguous())


@MODELS.register_module()
class VMUNetHead(UpHead):
    """VM-UNet's decoder: blocks of VMamba's first generation. Arguments: see `UpHead`."""

    FAMILY = VMamba

    def make_block(self, width: int, drop_path: float) -> nn.Module:
        return vmamba.Block(width, self.arch, drop_path)


@MODELS.register_module()
class MHSUNetHead(UpHead):
    """MHS-UNet's decoder: blocks of multi-head scans. Arguments: see `UpHead`."""

    FAMILY = MHSVM

    def make_block(self, width: int, drop_path: float) -> nn.Module:
        return mhs_vm.Block(width, self.arch, drop_path)


_PARTS = (
    (r'^vmunet\.', ''),
    (r'^patch_embed\.proj\.', 'backbone.stem.conv.'),
    (r'^patch_embed\.norm\.', 'backbone.stem.norm.'),
    (r'^layers\.', 'backbone.stages.'),
    (r'^layers_up\.', 'decode_head.stages.'),
    (r'^final_up\.', 'decode_head.final_up.'),
    (r'^final_conv\.', 'decode_head.conv_seg.'),
)
# a mixer of VMamba has the names of a multi-head scan's, without heads
AUTHOR_KEYS = KeyMap(
    rename=(*_PARTS, *mhs_vm.BLOCK_NAMES),
    drop=mhs_vm.DOUBLES,
    reshape=mhs_vm.RESHAPE,
    inputs=(r'^backbone\.stem\.conv\.weight$',),
)


def imagenet_keys(encoder: Sequence[int], decoder: Sequence[int]) -> KeyMap:
    """VMamba's classifier, first generation, into both halves: the decoder is the encoder mirrored.

    Args:
        encoder: blocks of each stage of the backbone.
        decoder: blocks of each stage of the decoder, coarsest first.
    """
    last = len(encoder) - 1
    surplus = []
    for i, depth in enumerate(encoder):
        kept = '|'.join(str(j) for j in range(max(depth, decoder[last - i])))
        surplus.append(rf'^layers\.{i}\.blocks\.(?!({kept})\.)')
    mirrored = tuple(
        (rf'^backbone\.stages\.{i}\.blocks\.', f'decode_head.stages.{last - i}.blocks.')
        for i in range(last + 1)
    )
    return replace(
        AUTHOR_KEYS,
        drop=(*AUTHOR_KEYS.drop, r'^norm\.', r'^head\.', *surplus),
        copy=mirrored,
        fresh=(r'^decode_head\.(stages\.\d+\.upsample|final_up|conv_seg)\.',),
    )


@MODELS.register_module()
class VMUNet(EncoderDecoder):
    """mmseg's EncoderDecoder over a staged backbone whose decoder takes the stages' beginnings.

    Args: of mmseg's `EncoderDecoder`; `init_cfg` may be
        `dict(type='Pretrained', checkpoint=FILE)`, a trained network in the authors' layout or
        ours, or `dict(type='ImageNet', checkpoint=FILE)`, VMamba's classifier of the first
        generation, which starts encoder and decoder (arXiv 2402.02491, section 3).

    Raises:
        ValueError: the backbone has no stages to walk through.
    """

    AUTHOR_KEYS = AUTHOR_KEYS

    def __init__(
        self,
        backbone: Mapping[str, Any],
        decode_head: Mapping[str, Any],
        *,
        data_preprocessor: Mapping[str, Any] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            backbone,
            decode_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        if not hasattr(self.backbone, 'walk'):
            raise ValueError(
                f'backbone={type(self.backbone).__name__} has no stages to walk through; VMUNet '
                'takes a staged backbone of mamba_dense, such as VMamba.'
            )

    def init_weights(self) -> None:
        """Load the file that `init_cfg` names, strictly.

        Raises:
            ValueError: the file does not fit; the message lists both sides.
        """
        cfg = self.init_cfg or {}
        if cfg.get('type') not in ('Pretrained', 'ImageNet'):
            super().init_weights()
            return
        if self.is_init:
            return
        keymap = self.AUTHOR_KEYS
        if cfg['type'] == 'ImageNet':
            keymap = imagenet_keys(
                self.backbone.arch.depths, [len(stage.blocks) for stage in self.decode_head.stages]
            )
        trusted = cfg.get('trusted', False)
        load_weights(self, cfg['checkpoint'], keymap=keymap, trusted=trusted)
        self._is_init = True

    def extract_feat(self, inputs: Tensor) -> list[Tensor]:
        """What each stage of the backbone begins with, then what the last one gives, channel-last.

        A grey image (B, 1, H, W) is repeated for a backbone of three channels.
        """
        if inputs.shape[1] == 1 and self.backbone.in_channels == 3:
            inputs = inputs.expand(-1, 3, -1, -1)
        pairs = self.backbone.walk(inputs)
        return [*(entered for entered, _ in pairs), pairs[-1][1]]
