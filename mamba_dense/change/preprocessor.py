"""Batches of two dates: normalised alike, padded to one size."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from mamba_dense.registry import MODELS

IGNORE = 255
DATES = 2
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@MODELS.register_module()
class ChangePreprocessor(BaseDataPreprocessor):
    """Normalises both dates of (6, H, W) by the mean and deviation of one, and batches them.

    Images of a batch are padded to its largest size at the bottom and right, after the
    normalisation and with 0; labels with 255; `padding_size` says how far.

    Args:
        mean, std: of the channels of one date, in 0..255, RGB as the transforms load it.
        size_divisor: what the padded sides are multiples of; the networks take any size.
    """

    def __init__(
        self,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        size_divisor: int = 1,
    ):
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f'mean={tuple(mean)} and std={tuple(std)} must be of one length.')
        self.size_divisor = size_divisor
        shape = (1, len(mean) * DATES, 1, 1)
        self.register_buffer('mean', torch.tensor([*mean] * DATES).view(shape), persistent=False)
        self.register_buffer('std', torch.tensor([*std] * DATES).view(shape), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """`inputs` (B, 6, H, W) float and the samples.

        Args:
            data: `inputs`, a list of (6, H, W) or a batch of them, and perhaps `data_samples`.
            training: not needed here; mmengine hands it over.

        Raises:
            ValueError: images of another number of channels than mean and std have.
        """
        data = self.cast_data(dict(data))
        images = list(data['inputs'])
        channels = self.mean.shape[1]
        for image in images:
            if image.shape[0] != channels:
                raise ValueError(
                    f'inputs of shape {tuple(image.shape)}: mean and std are of {channels} '
                    f'channels, {channels // DATES} for each date.'
                )
        sides = [max(image.shape[axis] for image in images) for axis in (1, 2)]
        height, width = (-(-side // self.size_divisor) * self.size_divisor for side in sides)
        batch = torch.cat(
            [
                _pad((image[None].float() - self.mean) / self.std, (height, width), 0.0)
                for image in images
            ]
        )
        samples = data.get('data_samples')
        for sample, image in zip(samples or (), images, strict=False):
            bottom, right = height - image.shape[1], width - image.shape[2]
            sample.set_metainfo({'padding_size': (0, right, 0, bottom)})
            if training:  # scores are taken where the image is
                self._pad_labels(sample, (height, width))
        return {'inputs': batch, 'data_samples': samples}

    def _pad_labels(self, sample: Any, size: tuple[int, int]) -> None:
        for key in sample.keys():
            if key.startswith('gt_'):
                label = sample.get(key).data
                sample.set_data({key: type(sample.get(key))(data=_pad(label, size, IGNORE))})


def _pad(x: Tensor, size: tuple[int, int], value: float) -> Tensor:
    """x (..., H, W) with `value` at its bottom and right up to `size`."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, size[1] - width, 0, size[0] - height), value=value)
