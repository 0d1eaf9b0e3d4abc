"""Segmentation of volumes by MONAI's sliding windows, as a model of mmengine's runner."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from mmengine.model import BaseModel
from monai.inferers import SliceInferer, SlidingWindowInferer
from torch import Tensor

from mamba_dense.medical.supervision import supervised
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_model_weights

MODES = ('tensor', 'loss', 'predict')
SIGMA = 0.125  # of the Gaussian that weighs a window, as a share of its side


@MODELS.register_module()
class VolumeSegmentor(BaseModel):
    """A network over patches of volumes; whole volumes are predicted in overlapping windows.

    The windows are MONAI's: laid from the first corner in equal steps, the last one moved back to
    the border, blended by a Gaussian. nnU-Net (Nature Methods 18, 203 (2021)) spreads the steps
    evenly instead; both look at every voxel.

    Args:
        backbone: config of a registered backbone, or of a whole network where `decoder` is None.
        decoder: config of a module from the backbone's maps to a tuple of logits, full resolution
            first; None: the backbone gives logits, one map or a tuple (MONAI's networks:
            `backbone=dict(type='monai.networks.nets.UNet', ...)`).
        num_classes: channels of the logits, the background among them.
        loss: config of a loss of logits (B, K, *S), labels (B, *S) and `ignore_index`.
        patch_size: sides of a window. Two sides make a network of slices: it sees the planes of the
            last two axes, one by one.
        supervision: weight of the loss at each map, see `supervision.halving_weights`.
        overlap: of neighbouring windows, as a share of their sides.
        window_batch: windows that the network sees at once.
        mirror_axes: axes of the patch along which `mode='predict'` mirrors, in every combination,
            to average the logits.
        data_preprocessor: of mmengine; moves the batch to the network's device by default.
        init_cfg: `dict(type='Pretrained', checkpoint=PATH_OR_URL)` loads a file of the authors or
            of ours, strictly.

    Raises:
        ValueError: `patch_size`, `overlap` or `mirror_axes` cannot be.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        decoder: Mapping[str, Any] | None = None,
        *,
        num_classes: int,
        loss: Mapping[str, Any],
        patch_size: Sequence[int],
        supervision: Sequence[float] = (1.0,),
        overlap: float = 0.5,
        window_batch: int = 1,
        mirror_axes: Sequence[int] = (),
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.patch_size = tuple(patch_size)
        self.mirror_axes = tuple(mirror_axes)
        self.overlap = overlap
        self.num_classes = num_classes
        self.supervision = tuple(supervision)
        rank = len(self.patch_size)
        if rank not in (2, 3) or min(self.patch_size) < 1:
            raise ValueError(
                f'patch_size={self.patch_size} must be two sides (slices) or three (volumes), each '
                'at least 1.'
            )
        if not 0 <= overlap < 1:
            raise ValueError(f'overlap={overlap} is a share of the window: 0 or more, below 1.')
        if not set(self.mirror_axes) <= set(range(rank)):
            raise ValueError(
                f'mirror_axes={self.mirror_axes} must be of 0 to {rank - 1}, the axes of '
                f'patch_size={self.patch_size}.'
            )
        options = {
            'roi_size': self.patch_size,
            'sw_batch_size': window_batch,
            'overlap': overlap,
            'mode': 'gaussian',
            'sigma_scale': SIGMA,
            'device': torch.device('cpu'),  # the whole volume never lies on the accelerator
        }
        self._inferer = (
            SliceInferer(spatial_dim=0, **options) if rank == 2 else SlidingWindowInferer(**options)
        )
        self.backbone = MODELS.build(backbone)
        self.decoder = None if decoder is None else MODELS.build(decoder)
        self.loss = MODELS.build(loss)

    def init_weights(self) -> None:
        """Load the file that `init_cfg` names, strictly; else let each part initialise itself.

        Raises:
            ValueError: the file does not fit; the message lists both sides.
        """
        cfg = self.init_cfg or {}
        if cfg.get('type') != 'Pretrained':
            super().init_weights()
            return
        if not self.is_init:
            load_model_weights(self, cfg['checkpoint'], trusted=cfg.get('trusted', False))
            self._is_init = True

    def forward(
        self,
        image: Tensor | Sequence[Tensor],
        label: Tensor | None = None,
        case: Sequence[str] | None = None,
        truth: Sequence[Any] | None = None,  # noqa: ARG002  the metric's, which gets it from the batch
        *,
        mode: str = 'tensor',
    ) -> tuple[Tensor, ...] | dict[str, Tensor] | list[dict[str, Any]]:
        """What mmengine's runner asks for.

        Args:
            image: (B, C, *S); of `mode='predict'` also a list of (C, *S) of any sizes. A network of
                slices takes patches (B, C, 1, *S), too.
            label: (B, 1, *S) class numbers, of `mode='loss'`.
            case: names, of `mode='predict'`.
            truth: what the metric compares with.
            mode: 'tensor': logits (B, K, *S_i), full resolution first. 'loss': the loss by name.
                'predict': for each image `case` and `scores`, logits (K, *S) on the CPU.

        Raises:
            ValueError: another mode, or a loss without labels.
        """
        if mode == 'tensor':
            return self.maps(self._planes(image))
        if mode == 'loss':
            if label is None:
                raise ValueError("mode='loss' needs label; batches of a training pipeline have it.")
            return self._losses(self.maps(self._planes(image)), self._planes(label))
        if mode == 'predict':
            names = case or [None] * len(image)
            return [
                {'case': name, 'scores': self.predict_scores(one, mirror_axes=self.mirror_axes)}
                for name, one in zip(names, image, strict=True)
            ]
        raise ValueError(f'mode={mode!r} is unknown; known: {", ".join(MODES)}.')

    def maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, K, *S_i) of patches (B, C, *S), full resolution first.

        Raises:
            ValueError: the network gives another number of classes.
        """
        maps = self.backbone(image)
        if self.decoder is not None:
            maps = self.decoder(maps)
        maps = (maps,) if isinstance(maps, Tensor) else tuple(maps)
        if maps[0].shape[1] != self.num_classes:
            raise ValueError(
                f'the network gives {maps[0].shape[1]} channels of logits, '
                f'num_classes={self.num_classes}; make the decoder or network end in that many.'
            )
        return maps

    @torch.no_grad()
    def predict_scores(self, image: Tensor, *, mirror_axes: Sequence[int] = ()) -> Tensor:
        """Logits (K, *S) of a volume, float32 on the CPU; a volume below the patch is padded by 0.

        Args:
            image: (C, *S) on any device; windows of it go to the network's.
            mirror_axes: axes of the patch to mirror along, in every combination.

        Raises:
            ValueError: not a volume with channels.
        """
        if image.ndim != 4:
            raise ValueError(
                f'image of shape {tuple(image.shape)} must be (C, X, Y, Z), a volume with channels.'
            )
        axes = [axis - len(self.patch_size) for axis in mirror_axes]
        device = next(self.parameters()).device
        turns = [turn for n in range(len(axes) + 1) for turn in combinations(axes, n)]
        training = self.training
        self.eval()
        try:
            return self._inferer(
                image[None].float().cpu(),
                lambda window: self._window_scores(window.to(device), turns).cpu(),
            )[0]
        finally:
            self.train(training)

    def _window_scores(self, window: Tensor, turns: Sequence[Sequence[int]]) -> Tensor:
        """Mean logits (B, K, *S) of windows (B, C, *S) over mirrored views."""
        total = self.maps(window)[0].float().contiguous()  # of the first turn, none
        for turn in turns[1:]:
            total += self.maps(window.flip(turn))[0].float().flip(turn)
        return total.div_(len(turns)) if len(turns) > 1 else total

    def _losses(self, maps: Sequence[Tensor], label: Tensor) -> dict[str, Tensor]:
        # in single precision, under mixed precision too
        maps = [logits.float() for logits in maps]
        value = supervised(self.loss, maps, label.squeeze(1).long(), self.supervision)
        return {getattr(self.loss, 'loss_name', 'loss'): value}

    def _planes(self, patches: Tensor) -> Tensor:
        """Patches of one plane, (B, C, 1, H, W), as (B, C, H, W) for a network of slices."""
        flat = len(self.patch_size) == 2 and patches.ndim == 5 and patches.shape[2] == 1
        return patches.squeeze(2) if flat else patches
