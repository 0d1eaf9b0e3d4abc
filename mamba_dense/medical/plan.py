"""From a data set to a config that fits its sizes, spacings and a given memory.

In the spirit of nnU-Net (Isensee et al., Nature Methods 18, 203 (2021)), whose rules of spacing,
patch and depth are in `topology.py`; written from the paper. Where nnU-Net compares the feature
maps of a plain U-Net with a constant, here a training step of the network itself is followed
(`memory.py`), so that any network and any memory can be asked for.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mamba_dense.medical.fingerprint import Fingerprint, Intensity
from mamba_dense.medical.memory import step_bytes
from mamba_dense.medical.plan_networks import NETWORKS, WIDTH, Planned
from mamba_dense.medical.topology import Topology, axis_order, first_patch, target_spacing

GIGABYTE = 10**9
_BATCH = {2: 12, 3: 2}  # patches of a batch that the patch is chosen for
_LEAST_BATCH = 2
_DATA_SHARE = 0.05  # of the data set's voxels, that a batch may hold
_LEAST_SIDE = 8  # of a patch
_SLACK = 1.2  # a patch is measured once it is predicted to come this near to the limit
_KINDS = {'rgb_to_0_1': 'rgb', 'nonorm': 'none', 'rescale_to_0_1': 'rescale', 'zscore': 'zscore'}


@dataclass(frozen=True)
class Plan:
    """What a config says about data and network.

    Attributes:
        preparation: fields of `Preparation`.
        median: voxels of the median case along the prepared axes.
        topology: patch and stages.
        batch: patches of a batch.
        model: config of the segmentor.
        memory: bytes of a training step by `step_bytes`.
    """

    preparation: dict[str, Any]
    median: tuple[int, int, int]
    topology: Topology
    batch: int
    model: dict[str, Any]
    memory: int


def make_plan(
    found: Fingerprint,
    *,
    network: str = 'lightm',
    memory: float = 8.0,
    dims: int = 3,
    width: int = WIDTH,
    calibrated: bool = False,
) -> Plan:
    """Choose spacing, intensities, patch, depth and batch.

    Args:
        found: the data set.
        network: one of `NETWORKS`.
        memory: 10**9 bytes that a training step may take.
        dims: 3 for patches of volumes, 2 for slices along the axis of the largest spacing.
        width: channels of the finest stage.
        calibrated: whether a value means the same in every case, as in CT.

    Raises:
        ValueError: an unknown value, or even the smallest patch takes more memory.
    """
    if network not in NETWORKS:
        raise ValueError(f'network={network!r} is unknown; known: {", ".join(NETWORKS)}')
    planned = NETWORKS[network]
    if dims not in (2, 3):
        raise ValueError(f'dims={dims} must be 2 (slices) or 3 (volumes)')
    if width < 1 or width % planned.step:
        raise ValueError(f'width={width} must be a multiple of {planned.step} for {network}')
    if not memory > 0:
        raise ValueError(f'memory={memory} must be a number of 10**9 bytes above 0')
    target = target_spacing(found.spacings, found.shapes)
    order = axis_order(target)
    spacing = [target[axis] for axis in order]
    median = _median_size(found, order, spacing)
    channels = [
        channel_kind(name, values, calibrated=calibrated)
        for name, values in zip(found.layout.channels, found.intensities, strict=True)
    ]
    preparation = {
        # slices stay where they are
        'spacing': [round(mm, 6) for mm in spacing] if dims == 3 else [None, *spacing[1:]],
        'axes': list(order),
        'channels': channels,
        'crop_nonzero': True,
    }
    search = _Search(
        planned, spacing[-dims:], median[-dims:], len(channels), len(found.layout.classes), width
    )
    limit = memory * GIGABYTE
    shape, cost = search.fit(limit)
    most = _DATA_SHARE * math.prod(median) * len(found.names) / math.prod(shape.patch)
    batch = max(_LEAST_BATCH, min(int(_BATCH[dims] * limit / cost), round(most)))
    return Plan(preparation, median, shape, batch, search.model(shape), search.cost(shape, batch))


def channel_kind(name: str, values: Intensity, *, calibrated: bool = False) -> dict[str, Any]:
    """How a channel's intensities are scaled, by its name as nnU-Net reads it.

    "CT", and every `calibrated` one: clipped to the percentiles 0.5 and 99.5 of the foreground of
    all training cases, whose mean becomes 0 and deviation 1; "rgb_to_0_1", "noNorm" and
    "rescale_to_0_1" as they say; every other name: z-score of each image.
    """
    if name.lower() != 'ct' and not calibrated:
        return {'kind': _KINDS.get(name.lower(), 'zscore')}
    numbers = {'low': values.low, 'high': values.high, 'mean': values.mean, 'std': values.std}
    return {'kind': 'ct', **{key: float(f'{value:.6g}') for key, value in numbers.items()}}


def describe_plan(plan: Plan) -> Iterator[str]:
    """The lines of a report."""
    by = ' x '.join
    spacing = by('as it is' if mm is None else f'{mm:.4g}' for mm in plan.preparation['spacing'])
    yield (
        f'axes {"".join("XYZ"[axis] for axis in plan.preparation["axes"])}, spacing {spacing} mm, '
        f'median case {by(map(str, plan.median))} voxels'
    )
    shape = plan.topology
    yield f'patch {by(map(str, shape.patch))}, batch {plan.batch}, {len(shape.strides)} stages'
    yield f'strides {list(shape.strides)}, kernels {list(shape.kernels)}'
    yield f'memory of a training step in float32: about {plan.memory / GIGABYTE:.3g} GB'


@dataclass(frozen=True)
class _Search:
    """The network at any patch; `spacing` and `median` are of the patch's axes."""

    planned: Planned
    spacing: Sequence[float]
    median: Sequence[int]
    channels: int
    classes: int
    width: int

    def model(self, shape: Topology) -> dict[str, Any]:
        network = self.planned.config(shape, self.channels, self.classes, self.width)
        return {
            'type': 'mamba_dense.VolumeSegmentor',
            **network,
            'num_classes': self.classes,
            'loss': {'type': 'mamba_dense.NnUNetLoss'},
            'patch_size': list(shape.patch),
        }

    def cost(self, shape: Topology, batch: int) -> int:
        model = self.model(shape)
        return step_bytes(model, channels=self.channels, patch=shape.patch, batch=batch)

    def fit(self, limit: float) -> tuple[Topology, int]:
        """The patch whose training step takes at most `limit` bytes, and what it takes.

        Raises:
            ValueError: the smallest patch takes more.
        """
        batch = _BATCH[len(self.median)]
        shape = self.planned.shape(self.spacing, first_patch(self.spacing, self.median))
        cost = self.cost(shape, batch)
        while cost > limit:
            wanted = _SLACK * limit / cost * math.prod(shape.patch)
            smaller = self.smaller(shape)
            if smaller is None:
                raise ValueError(
                    f'memory={limit / GIGABYTE:g} GB is too little: {batch} patches of '
                    f'{" x ".join(map(str, shape.patch))} take {cost / GIGABYTE:.3g} GB; allow '
                    f'more, or fewer channels than width={self.width}.'
                )
            while smaller is not None:
                shape = smaller
                smaller = self.smaller(shape) if math.prod(shape.patch) > wanted else None
            cost = self.cost(shape, batch)
        return shape, cost

    def smaller(self, shape: Topology) -> Topology | None:
        """The next smaller patch: less of the axis that shows most of the median case."""
        axes = range(len(shape.patch))
        for axis in sorted(axes, key=lambda n: shape.patch[n] / self.median[n], reverse=True):
            rest = shape.patch[axis] - shape.divisors[axis]
            if rest < _LEAST_SIDE:
                continue
            # what is pooled less often may be shortened by less
            step = self.planned.shape(self.spacing, _with(shape.patch, axis, rest)).divisors[axis]
            sides = _with(shape.patch, axis, shape.patch[axis] - step)
            found = self.planned.shape(self.spacing, sides)
            if math.prod(found.patch) < math.prod(shape.patch):
                return found
        return None


def _with(sides: Sequence[int], axis: int, side: int) -> tuple[int, ...]:
    return (*sides[:axis], side, *sides[axis + 1 :])


def _median_size(
    found: Fingerprint, order: Sequence[int], spacing: Sequence[float]
) -> tuple[int, int, int]:
    """Voxels of the median case along `order`, at `spacing` (in that order)."""
    shapes, own = (
        np.asarray(rows, float)[:, list(order)] for rows in (found.shapes, found.spacings)
    )
    sizes = np.maximum(1, np.round(shapes * own / np.asarray(spacing)))
    return tuple(int(side) for side in np.round(np.median(sizes, axis=0)))
