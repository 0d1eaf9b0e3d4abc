"""Configs of the networks that `plan.py` chooses depth and width of."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mamba_dense.backbones import LightMEncoder
from mamba_dense.medical.supervision import halving_weights
from mamba_dense.medical.topology import Topology, even_topology, topology

WIDTH = 32  # channels of the finest stage, nnU-Net's and both papers'
_WIDEST = {2: 512, 3: 320}  # of the deepest stages, for `WIDTH`
_LIGHTM_POOLINGS = 3
_DYNUNET_STAGES = 3  # at least


@dataclass(frozen=True)
class Planned:
    """A network that can be planned.

    Attributes:
        shape: (spacing, patch) -> stages, and the patch padded to what they need.
        config: (topology, in_channels, classes, width) -> backbone, decoder and supervision of a
            `VolumeSegmentor`.
        schedule: base config of its published recipe.
        step: what the width must be a multiple of.
    """

    shape: Callable[[Sequence[float], Sequence[int]], Topology]
    config: Callable[[Topology, int, int, int], dict[str, Any]]
    schedule: str
    step: int = 1


def _lightm_shape(_spacing: Sequence[float], patch: Sequence[int]) -> Topology:
    return even_topology(patch, _LIGHTM_POOLINGS)


def _lightm(shape: Topology, channels: int, classes: int, width: int) -> dict[str, Any]:
    """LightM-UNet (arXiv 2403.05246); all axes are pooled three times, as published."""
    axes = len(shape.patch)
    dims = [width * 2**n for n in range(_LIGHTM_POOLINGS + 1)]
    known = [name for name, arch in LightMEncoder.ARCHS.items() if list(arch.dims) == dims]
    arch = known[0] if known else {'base': 'base', 'dims': dims}
    return {
        'backbone': {
            'type': 'mamba_dense.LightMEncoder',
            'arch': arch,
            'spatial_dims': axes,
            'in_channels': channels,
        },
        'decoder': {
            'type': 'mamba_dense.LightMDecoder',
            'in_channels': dims,
            'num_classes': classes,
            'spatial_dims': axes,
        },
    }


def _xlstm(along: bool, shape: Topology, channels: int, classes: int, width: int) -> dict[str, Any]:
    """xLSTM-UNet (arXiv 2407.01530), with the block counts of its paper."""
    axes, stages = len(shape.patch), len(shape.strides)
    dims = _widths(stages, axes, width)
    shallow, deep = math.ceil(stages / 2), math.ceil((stages - 1) / 2 + 0.5)
    arch = {
        'dims': dims,
        'depths': [2 if n < shallow else 1 for n in range(stages)],
        'decoder_depths': [2 if n < deep else 1 for n in range(stages - 1)],
        'strides': [_short(steps) for steps in shape.strides],
        'kernels': [_short(sides) for sides in shape.kernels],
        'spatial_dims': axes,
        'along': along,
        'patch_size': list(shape.patch),
    }
    return {
        'backbone': {
            'type': 'mamba_dense.XLSTMEncoder',
            'arch': arch,
            'in_channels': channels,
        },
        'decoder': {
            'type': 'mamba_dense.XLSTMDecoder',
            'arch': arch,
            'in_channels': dims,
            'num_classes': classes,
            'deep_supervision': True,
        },
        'supervision': [round(weight, 6) for weight in halving_weights(stages - 1)],
    }


def _monai(shape: Topology, channels: int, classes: int, width: int) -> dict[str, Any]:
    """MONAI's DynUNet: the plain convolutional U-Net that nnU-Net plans; it has three stages."""
    axes = len(shape.patch)
    more = max(0, _DYNUNET_STAGES - len(shape.strides))
    strides = [list(steps) for steps in shape.strides] + [[1] * axes] * more
    kernels = [list(sides) for sides in shape.kernels] + [[3] * axes] * more
    return {
        'backbone': {
            'type': 'monai.networks.nets.DynUNet',
            'spatial_dims': axes,
            'in_channels': channels,
            'out_channels': classes,
            'kernel_size': kernels,
            'strides': strides,
            'upsample_kernel_size': strides[1:],
            'filters': _widths(len(strides), axes, width),
        },
    }


def _widths(stages: int, axes: int, width: int) -> list[int]:
    """Channels of each stage: doubled from stage to stage up to nnU-Net's limit."""
    return [min(width * 2**n, _WIDEST[axes] * width // WIDTH) for n in range(stages)]


def _short(numbers: Sequence[int]) -> int | list[int]:
    """One number where all are the same."""
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)


def _xlstm_bot(*arguments: Any) -> dict[str, Any]:
    return _xlstm(False, *arguments)


def _xlstm_enc(*arguments: Any) -> dict[str, Any]:
    return _xlstm(True, *arguments)


NETWORKS: Mapping[str, Planned] = {
    'lightm': Planned(_lightm_shape, _lightm, 'adam_poly_100e', step=8),
    'xlstm_bot': Planned(topology, _xlstm_bot, 'sgd_poly_4000e'),
    'xlstm_enc': Planned(topology, _xlstm_enc, 'sgd_poly_4000e'),
    'monai': Planned(topology, _monai, 'sgd_poly_4000e'),
}
