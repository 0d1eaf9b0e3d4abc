"""From a file's voxels to those of the network and back: crop, axes, intensities, resampling.

The steps are those of nnU-Net (Isensee et al. 2021, arXiv 1809.10486): crop to the non-zero region,
transpose, scale the intensities, resample. Splines are separable, so each axis is resampled by a
sparse matrix; a part of the result needs a part of the source alone.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from scipy import ndimage, sparse

from .volume import Volume

Box = tuple[slice, slice, slice]
# max / min spacing from which the axis of largest spacing is resampled by the nearest neighbour
_ANISOTROPY = 3.0
# share of the volume that is left by the crop, below which z-score looks at the non-zero voxels
_MASKED_BELOW = 0.75
_EPSILON = 1e-8
# values that are resampled at once
_BLOCK = 2**20
_CHANNEL_KEYS = {
    'zscore': (),
    'ct': ('low', 'high', 'mean', 'std'),
    'rescale': (),
    'rgb': (),
    'none': (),
}


@dataclass(frozen=True)
class Geometry:
    """How prepared voxels lie in the file.

    Attributes:
        shape: (X, Y, Z) of the file.
        box: first and one past the last voxel of the crop, along X, Y and Z.
        axes: axes of the file in the order of the prepared ones.
        spacing: of the file in mm, in the order of `axes`.
        size: shape of the prepared volume.
        nearest: whether a prepared axis is resampled by the nearest neighbour.
    """

    shape: tuple[int, int, int]
    box: tuple[tuple[int, int], ...]
    axes: tuple[int, int, int]
    spacing: tuple[float, float, float]
    size: tuple[int, int, int]
    nearest: tuple[bool, bool, bool]

    @property
    def cropped(self) -> tuple[int, int, int]:
        """Shape after crop and transposition, before resampling."""
        return tuple(self.box[axis][1] - self.box[axis][0] for axis in self.axes)

    def cut(self, volume: np.ndarray) -> np.ndarray:
        """View of (..., X, Y, Z) as (..., *cropped)."""
        lead = volume.ndim - 3
        inside = volume[(..., *(slice(low, high) for low, high in self.box))]
        return inside.transpose(*range(lead), *(lead + axis for axis in self.axes))

    def matrices(self, order: int, *, back: bool = False) -> tuple[sparse.csr_array, ...]:
        """For each axis, from `cropped` to `size` (`back`: the other way) by splines of `order`."""
        ends = zip(self.cropped, self.size, self.nearest, strict=True)
        return tuple(
            axis_matrix(size if back else cut, cut if back else size, 0 if nearest else order)
            for cut, size, nearest in ends
        )

    def source(self, part: Box) -> Box:
        """The prepared voxels that `restore_part` needs for a part of the cropped volume."""
        return tuple(self.source_along(axis, rows) for axis, rows in enumerate(part))

    def source_along(self, axis: int, rows: slice) -> slice:
        """The prepared voxels that `rows` of the cropped volume need along an axis."""
        columns = self.matrices(1, back=True)[axis][rows].indices
        return slice(int(columns.min()), int(columns.max()) + 1)


@dataclass(frozen=True)
class Prepared:
    """What the network sees of a volume.

    Attributes:
        data: (C, *size) float32.
        geometry: the way back.
    """

    data: np.ndarray
    geometry: Geometry


@dataclass(frozen=True)
class Preparation:
    """What is done to a volume before the network sees it.

    Attributes:
        spacing: mm along each axis, in the order after `axes`; None leaves all, or one, as it is.
        axes: axes of the file in the order the network takes them.
        channels: for each channel a mapping with `kind`: 'zscore' (mean 0, deviation 1, of the
            non-zero voxels alone where the crop removed more than a quarter; the others are 0),
            'ct' (clip to `low` and `high`, subtract `mean`, divide by `std`), 'rescale' (least and
            greatest value become 0 and 1), 'rgb' (divide by 255), 'none'. A constant channel
            becomes 0 under 'zscore' and 'rescale'.
        crop_nonzero: crop to the box of voxels that are not 0 in some channel. A volume of zeros
            is left whole.

    Raises:
        ValueError: a field with another value; names it.
    """

    spacing: Sequence[float | None] | None = None
    axes: Sequence[int] = (0, 1, 2)
    channels: Sequence[Mapping[str, Any]] = ({'kind': 'zscore'},)
    crop_nonzero: bool = True

    def __post_init__(self):
        if sorted(self.axes) != [0, 1, 2]:
            raise ValueError(f'axes={list(self.axes)} must be an order of 0, 1 and 2.')
        if self.spacing is not None and (
            len(self.spacing) != 3 or any(mm is not None and not mm > 0 for mm in self.spacing)
        ):
            raise ValueError(
                f'spacing={list(self.spacing)} must be three lengths in mm above 0 (None leaves an '
                'axis as it is), or None.'
            )
        if not self.channels:
            raise ValueError('channels is empty; give one mapping for each channel.')
        for channel in self.channels:
            _check_channel(channel)

    def prepare(self, volume: Volume) -> Prepared:
        """Crop, transpose, scale and resample a volume (splines of order 3).

        Where the largest spacing (of the volume, else of the target) is of one axis and more than 3
        times the smallest, that axis is resampled by the nearest neighbour.

        Raises:
            ValueError: the volume has another number of channels than `channels`.
        """
        if len(volume.data) != len(self.channels):
            raise ValueError(
                f'{volume.path}: has {len(volume.data)} channels, the preparation has '
                f'{len(self.channels)}; give one file for each (NAME_0000.nii.gz, ...).'
            )
        geometry = self.geometry(volume)
        matrices = geometry.matrices(3)
        cut = geometry.cut(volume.data)  # (C, *cropped), a view
        masked = cut[0].size < _MASKED_BELOW * volume.data[0].size
        inside = cut.any(axis=0) if masked else None
        data = np.empty((len(cut), *geometry.size), np.float32)
        for index, (values, channel) in enumerate(zip(cut, self.channels, strict=True)):
            resample(_scaled(values, channel, inside), matrices, data[index])
        return Prepared(data, geometry)

    def geometry(self, volume: Volume) -> Geometry:
        """Where the prepared voxels of a volume lie."""
        shape = volume.data.shape[1:]
        box = _nonzero_box(volume.data) if self.crop_nonzero else tuple((0, n) for n in shape)
        spacing = tuple(volume.spacing[axis] for axis in self.axes)
        wanted = self.spacing or (None, None, None)
        target = tuple(mm or own for mm, own in zip(wanted, spacing, strict=True))
        cropped = [box[axis][1] - box[axis][0] for axis in self.axes]
        size = tuple(
            max(1, round(n * own / mm)) for n, own, mm in zip(cropped, spacing, target, strict=True)
        )
        return Geometry(shape, box, tuple(self.axes), spacing, size, _coarse(spacing, target))

    def labels(self, labels: np.ndarray, geometry: Geometry) -> np.ndarray:
        """A mask (X, Y, Z) as the network sees it: (*size) uint8; each class linearly resampled."""
        cut = geometry.cut(labels)
        if geometry.cropped == geometry.size:
            return np.ascontiguousarray(cut, np.uint8)
        matrices = geometry.matrices(1)
        classes = np.unique(cut)
        shares = (resample(cut == k, matrices) for k in classes)
        return classes[_largest(shares, geometry.size)].astype(np.uint8)

    def restore(self, scores: np.ndarray, geometry: Geometry) -> np.ndarray:
        """The mask in the file's geometry of scores in the prepared one.

        Scores are linearly resampled, then the largest counts (a single class counts above 0);
        what the crop left out is 0.

        Args:
            scores: (K, *size).
            geometry: as `prepare` gave it.

        Returns:
            (X, Y, Z) uint8.

        Raises:
            ValueError: scores of another size.
        """
        if tuple(scores.shape[1:]) != geometry.size:
            raise ValueError(
                f'scores have the size {tuple(scores.shape[1:])}, the prepared volume '
                f'{geometry.size}; they must agree.'
            )
        whole = tuple(slice(0, n) for n in geometry.cropped)
        # what a coarser file takes may leave out voxels at the border
        scores = np.asarray(scores)[(slice(None), *geometry.source(whole))]
        labels = np.zeros(geometry.shape, np.uint8)
        geometry.cut(labels)[...] = restore_part(scores, geometry, whole)
        return labels


def restore_part(scores: np.ndarray, geometry: Geometry, part: Box) -> np.ndarray:
    """Classes of a part of the cropped volume, one class resampled after the other.

    Args:
        scores: (K, ...) of the prepared voxels `geometry.source(part)`.
        geometry: of the volume.
        part: slices along the axes of `geometry.cropped`.

    Returns:
        (...) uint8 of the part's shape.
    """
    source = geometry.source(part)
    matrices = [
        matrix[rows, columns]
        for matrix, rows, columns in zip(geometry.matrices(1, back=True), part, source, strict=True)
    ]
    maps = (resample(score, matrices) for score in scores)
    if len(scores) == 1:
        return (next(maps) > 0).astype(np.uint8)
    return _largest(maps, tuple(matrix.shape[0] for matrix in matrices))


@lru_cache(maxsize=64)
def axis_matrix(length: int, wanted: int, order: int) -> sparse.csr_array:
    """What resamples an axis of `length` to `wanted` voxels: (wanted, length) float32.

    A spline of `order` between the centres of the voxels, the border's value beyond them; as
    `scipy.ndimage.zoom(..., mode='nearest', grid_mode=True)`.
    """
    if length == wanted:
        return sparse.eye_array(length, dtype=np.float32, format='csr')
    one = partial(ndimage.zoom, zoom=wanted / length, order=order, mode='nearest', grid_mode=True)
    matrix = np.stack([one(row) for row in np.eye(length)], axis=1)
    matrix[np.abs(matrix) < _EPSILON] = 0
    return sparse.csr_array(matrix.astype(np.float32))


def resample(
    values: np.ndarray, matrices: Sequence[sparse.csr_array], out: np.ndarray | None = None
) -> np.ndarray:
    """An array (*S) with the matrix of each axis applied to it, float32.

    Plane by plane, then block by block along the first axis, so that beside source and result no
    more than one array is held.

    Args:
        values: (X, Y, Z).
        matrices: of X, Y and Z.
        out: where to write the result; allocated by default.
    """
    first, *inner = matrices
    size = tuple(matrix.shape[0] for matrix in matrices)
    if out is None:
        out = np.empty(size, np.float32)
    same = _is_identity(first)
    planes = out if same else np.empty((len(values), *size[1:]), np.float32)
    for index, plane in enumerate(values):
        plane = plane.astype(np.float32, copy=False)
        for matrix in inner:  # each turn applies a matrix to the rows and transposes
            plane = plane.T if _is_identity(matrix) else (matrix @ np.ascontiguousarray(plane)).T
        planes[index] = plane
    if not same:
        flat, wanted = planes.reshape(len(planes), -1), out.reshape(size[0], -1)
        step = max(1, _BLOCK // max(len(flat), len(wanted)))
        for start in range(0, flat.shape[1], step):
            wanted[:, start : start + step] = first @ flat[:, start : start + step]
    return out


def _is_identity(matrix: sparse.csr_array) -> bool:
    length = matrix.shape[0]
    return matrix.shape[1] == matrix.nnz == length and np.array_equal(
        matrix.indices, np.arange(length)
    )


def _largest(maps: Iterable[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Index (*size) of the map with the largest value, the first of equals."""
    chosen = np.zeros(size, np.uint8)
    best = None
    for index, values in enumerate(maps):
        if best is None:
            best = values.copy()
            continue
        better = values > best
        chosen[better] = index
        np.maximum(best, values, out=best)
    return chosen


def _nonzero_box(data: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The box (X, Y, Z) outside which every channel is 0; all, where nothing else is left."""
    there = data.any(axis=0)
    box = []
    for axis in range(3):
        seen = np.flatnonzero(there.any(axis=tuple(a for a in range(3) if a != axis)))
        if not seen.size:
            return tuple((0, n) for n in data.shape[1:])
        box.append((int(seen[0]), int(seen[-1]) + 1))
    return tuple(box)


def _coarse(spacing: tuple[float, ...], target: tuple[float, ...]) -> tuple[bool, bool, bool]:
    """Which axis is the one of low resolution."""
    for lengths in (spacing, target):
        if max(lengths) / min(lengths) > _ANISOTROPY:
            largest = tuple(math.isclose(mm, max(lengths), rel_tol=1e-3) for mm in lengths)
            return largest if sum(largest) == 1 else (False, False, False)
    return False, False, False


def _check_channel(channel: Mapping[str, Any]) -> None:
    kind = channel.get('kind')
    if kind not in _CHANNEL_KEYS:
        known = ', '.join(_CHANNEL_KEYS)
        raise ValueError(f'channels: kind={kind!r} is not known; known: {known}.')
    wanted = {'kind', *_CHANNEL_KEYS[kind]}
    if set(channel) != wanted:
        raise ValueError(
            f'channels: {dict(channel)} has the keys {sorted(channel)}; kind {kind!r} takes '
            f'{sorted(wanted)}.'
        )
    if kind == 'ct' and not (channel['low'] < channel['high'] and channel['std'] > 0):
        raise ValueError(f'channels: {dict(channel)} must have low < high and std above 0.')


def _scaled(
    values: np.ndarray, channel: Mapping[str, Any], inside: np.ndarray | None
) -> np.ndarray:
    """A channel's values (*S) as the network takes them; a copy."""
    values = np.array(values, np.float32, order='C')
    kind = channel['kind']
    if kind == 'zscore':
        _zscore(values, inside)
    elif kind == 'ct':
        np.clip(values, channel['low'], channel['high'], out=values)
        values -= channel['mean']
        values /= channel['std']
    elif kind == 'rescale':
        low, high = float(values.min()), float(values.max())
        values -= low
        values /= (high - low) or 1.0
    elif kind == 'rgb':
        values /= 255
    return values


def _zscore(values: np.ndarray, inside: np.ndarray | None) -> None:
    """Mean 0 and deviation 1 of the voxels `inside` (None: of all), in place; the others are 0."""

    def planes() -> Iterator[np.ndarray]:  # of those inside: a copy of all would take memory
        for index, plane in enumerate(values):
            seen = plane if inside is None else plane[inside[index]]
            if seen.size:
                yield seen.astype(np.float64)

    if min(plane.min() for plane in planes()) == max(plane.max() for plane in planes()):
        values[...] = 0
        return
    count = values.size if inside is None else int(inside.sum())
    mean = sum(float(plane.sum()) for plane in planes()) / count
    spread = sum(float(np.square(plane - mean).sum()) for plane in planes()) / count
    values -= mean
    values /= max(math.sqrt(spread), _EPSILON)
    if inside is not None:
        values[~inside] = 0
