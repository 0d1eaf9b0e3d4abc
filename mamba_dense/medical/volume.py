"""NIfTI files as arrays and back, the geometry kept; what cannot be used is refused by name."""

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder

from mamba_dense.engine.files import VOLUME_SUFFIXES as SUFFIXES
from mamba_dense.weights.save import atomic_write

# how far apart two geometries may lay a corner, as a share of the smallest spacing
_TOLERANCE = 1e-2
_MILLIMETRES = {'meter': 1e3, 'mm': 1.0, 'micron': 1e-3, 'unknown': 1.0}
_UNREADABLE = (ImageFileError, EOFError, OSError, zlib.error, ValueError)


class VolumeError(ValueError):
    """A volume that cannot be used; the message names the file, the value and the way out."""


@dataclass(frozen=True)
class Volume:
    """An image and its place in space.

    Attributes:
        data: (C, X, Y, Z) float32, axes in the file's order.
        affine: (4, 4), from voxel indices to positions, in the unit of the file.
        path: the file of the first channel.
        header: its header, None of a volume that was not read from a file.
    """

    data: np.ndarray
    affine: np.ndarray
    path: Path
    header: nibabel.Nifti1Header | None = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along X, Y and Z, in mm (a unit not stated is mm)."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0) * self._unit
        return tuple(float(length) for length in lengths)

    @property
    def millilitres(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) * self._unit**3 / 1000

    @property
    def _unit(self) -> float:
        """Length of the file's unit in mm."""
        return 1.0 if self.header is None else _MILLIMETRES[self.header.get_xyzt_units()[0]]


def is_volume(path: str | Path) -> bool:
    """Whether a file is a volume by its name.

    >>> is_volume('scan_0000.nii.gz'), is_volume('scan.png')
    (True, False)
    """
    return str(path).lower().endswith(SUFFIXES)


def reading_bytes(paths: Sequence[str | Path]) -> int:
    """Memory that `read_image` takes at most: (4 C + 4 + r) N.

    C files of N voxels, stored in r bytes each; 0 where the first file does not tell (its reading
    will say why).
    """
    try:
        first = nibabel.load(paths[0])
        stored = np.dtype(first.get_data_dtype()).itemsize
        return (4 * len(paths) + 4 + stored) * math.prod(first.shape)
    except (*_UNREADABLE, TypeError):
        return 0


def read_image(paths: str | Path | Sequence[str | Path]) -> Volume:
    """Read a case, one file for each channel.

    A slice of one voxel's thickness, a plane (X, Y) and a fourth axis of length 1 are served as
    (X, Y, Z). A constant image is served too: z-score makes it 0 (see `preparation`).

    Raises:
        VolumeError: a file is absent, truncated or no NIfTI, is empty or has more than three axes,
            has values that are no finite real numbers, or differs from the first in shape or
            affine.
    """
    paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not paths:
        raise VolumeError('paths is empty: allowed is one file for each channel, at least one.')
    image, values = _load(paths[0], np.float32)
    _check_finite(paths[0], values)
    data = values[None]
    if len(paths) > 1:
        data = np.empty((len(paths), *values.shape), np.float32)
        data[0] = values
    for index, path in enumerate(paths[1:], 1):
        other, values = _load(path, np.float32)
        _check_grid(path, values.shape, other.affine, paths[0], data.shape[1:], image.affine)
        _check_finite(path, values)
        data[index] = values
    return Volume(data, image.affine, paths[0], image.header)


def read_labels(path: str | Path, *, like: Volume, num_classes: int | None = None) -> np.ndarray:
    """Read the mask of a case.

    Args:
        path: the file.
        like: the image it belongs to.
        num_classes: classes there are, background included; None takes any up to 256.

    Returns:
        (X, Y, Z) uint8, axes in the file's order.

    Raises:
        VolumeError: the file is absent or unreadable, has another shape or affine than the image,
            or values that are no classes.
    """
    path = Path(path)
    if not path.is_file():
        raise VolumeError(
            f'{path}: no such file; the mask of {like.path} is missing. Add it, or leave the case '
            'out of training.'
        )
    image, values = _load(path)
    _check_grid(path, values.shape, image.affine, like.path, like.data.shape[1:], like.affine)
    _check_finite(path, values)
    if values.dtype.kind == 'f':
        values = _whole(path, values)
    highest = 255 if num_classes is None else num_classes - 1
    if values.min() < 0 or values.max() > highest:
        outside = values[(values < 0) | (values > highest)]
        found = ', '.join(f'{label:g}' for label in np.unique(outside)[:8])
        raise VolumeError(
            f'{path}: label {found} in {outside.size} voxels; allowed is 0 to {highest}. Correct '
            'the mask, or the classes of the data set.'
        )
    return values.astype(np.uint8)


def write_labels(path: str | Path, labels: np.ndarray, like: Volume) -> Path:
    """Write a mask in the geometry of an image: its affine, and the codes of its sform and qform.

    Args:
        path: the file to write, whole or not at all; ends with .nii.gz or .nii.
        labels: (X, Y, Z) whole numbers from 0 to 255.
        like: the image.

    Raises:
        ValueError: another ending or shape, or labels that are not of a whole-number dtype.
    """
    path = Path(path)
    if not is_volume(path):
        raise ValueError(f'{path}: allowed endings are {" and ".join(SUFFIXES)}')
    if labels.shape != like.data.shape[1:]:
        raise ValueError(
            f'labels has the shape {labels.shape}, the image {like.path} {like.data.shape[1:]}; '
            'they must agree.'
        )
    if (
        labels.dtype.kind not in 'biu'
        or labels.size
        and not 0 <= labels.min() <= labels.max() < 256
    ):
        raise ValueError(f'labels ({labels.dtype}) must be whole numbers from 0 to 255.')
    header = None if like.header is None else like.header.copy()
    kind = nibabel.Nifti1Image
    if header is not None:
        kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else kind
        header['cal_min'] = header['cal_max'] = 0  # the image's window would hide the classes
    image = kind(labels.astype(np.uint8), like.affine, header)
    image.set_data_dtype(np.uint8)
    data = image.to_bytes()
    if path.name.lower().endswith('.gz'):
        data = gzip.compress(data, 6, mtime=0)
    return atomic_write(path, lambda part: part.write_bytes(data))


def _load(path: Path, dtype: type | None = None) -> tuple[nibabel.Nifti1Image, np.ndarray]:
    """A file and its values (X, Y, Z), as `dtype` or, by default, as they are stored."""
    if not is_volume(path):
        raise VolumeError(f'{path}: is not a volume by its name; allowed is {", ".join(SUFFIXES)}.')
    if not path.is_file():
        raise VolumeError(f'{path}: no such file; give the path of a volume that is there.')
    try:
        image, values = _values(path, dtype)
    except _UNREADABLE as error:
        raise VolumeError(
            f'{path}: cannot be read ({path.stat().st_size} bytes): {error or type(error).__name__}'
            '. The file is truncated, damaged or not NIfTI; copy or export it again.'
        ) from error
    shape = values.shape
    if values.size == 0:
        raise VolumeError(f'{path}: has the shape {shape}, so no voxel at all; export it again.')
    if len(shape) < 2 or any(length > 1 for length in shape[3:]):
        raise VolumeError(
            f'{path}: has {len(shape)} axes, {shape}; allowed are three. Save each channel or date '
            'as a file of its own, NAME_0000.nii.gz, NAME_0001.nii.gz, ...'
        )
    if values.dtype.kind not in 'biuf':
        raise VolumeError(
            f'{path}: has values of type {values.dtype}; allowed are real numbers. Save each '
            'component as a file of its own.'
        )
    lengths = np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.isfinite(image.affine).all() or lengths.min() <= 0:
        raise VolumeError(
            f'{path}: its affine has the spacings {tuple(lengths.tolist())}; allowed are finite '
            'ones above 0. Correct its header.'
        )
    return image, values.reshape((*shape, 1)[:3])


def _values(path: Path, dtype: type | None) -> tuple[nibabel.Nifti1Image, np.ndarray]:
    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Pair):
        raise ImageFileError(f'it is {type(image).__name__}')
    real = np.dtype(image.get_data_dtype()).kind in 'biuf'
    if not path.name.lower().endswith('.gz'):
        return image, np.asarray(image.dataobj, dtype if real else None)
    with gzip.open(path) as stream:
        image = type(image).from_file_map({'image': FileHolder(fileobj=stream)})
        values = np.asarray(image.dataobj, dtype if real else None)
        stream.read(1)  # the end, where the checksum is compared
    return image, values


def _whole(path: Path, values: np.ndarray) -> np.ndarray:
    """Labels stored as fractions, as the whole numbers that they are."""
    rounded = np.rint(values)
    wrong = values[np.abs(values - rounded) > 1e-4]
    if wrong.size:
        raise VolumeError(
            f'{path}: label {wrong[0]:g} ({wrong.size} voxels of that kind) is not a whole number; '
            'a mask holds class numbers. Resample masks by the nearest neighbour.'
        )
    return rounded


def _check_finite(path: Path, values: np.ndarray) -> None:
    if values.dtype.kind != 'f':
        return
    for index, plane in enumerate(values):  # plane by plane, as a mask of all would take memory
        finite = np.isfinite(plane)
        if not finite.all():
            count = sum(int((~np.isfinite(part)).sum()) for part in values[index:])
            y, z = np.argwhere(~finite)[0]
            raise VolumeError(
                f'{path}: {count} voxels are not finite (NaN or infinite), the first at '
                f'({index}, {y}, {z}); replace them, such as by the value of the background.'
            )


def _check_grid(
    path: Path,
    shape: tuple[int, ...],
    affine: np.ndarray,
    other: Path,
    other_shape: tuple[int, ...],
    other_affine: np.ndarray,
) -> None:
    """Refuse a file whose voxels are not those of the other."""
    if tuple(shape) != tuple(other_shape):
        raise VolumeError(
            f'{path}: has the shape {tuple(shape)}, {other} has {tuple(other_shape)}; they must '
            'agree. Resample one to the grid of the other.'
        )
    ends = np.array([(x, y, z, 1) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    ends[:, :3] *= np.array(shape) - 1
    away = np.linalg.norm(((affine - other_affine) @ ends.T)[:3], axis=0).max()
    if away > _TOLERANCE * np.linalg.norm(other_affine[:3, :3], axis=0).min():
        raise VolumeError(
            f'{path}: its affine {_shown(affine)} lays a corner {away:.3g} away from where that of '
            f'{other}, {_shown(other_affine)}, does; allowed is {_TOLERANCE:g} of a voxel. '
            'Resample one to the grid of the other, or copy the affine if the voxels are the same.'
        )


def _shown(affine: np.ndarray) -> str:
    return '[' + '; '.join(' '.join(f'{v:.5g}' for v in row) for row in affine[:3]) + ']'
