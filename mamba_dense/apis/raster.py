"""Rasters of any size, read in windows and written in strips: pairs of dates, GeoTIFF.

GDAL keeps what it has read in a cache of fixed size, so memory does not grow with the raster.
"""

import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..weights.save import atomic_write
from .images import SUFFIXES, ImageError, to_bytes

# megabytes of blocks that GDAL may keep; a side of the blocks written
_CACHE, _BLOCK = 128, 256
# corners may lie this share of a pixel apart in rasters of one grid
_APART = 0.01
_SUFFIXES = (*(suffix for suffix in SUFFIXES if suffix != '.npy'), '.jp2', '.vrt', '.img')


def require_rasterio() -> ModuleType:
    """The package rasterio.

    Raises:
        ModuleNotFoundError: it is not installed; says which extra has it.
    """
    if importlib.util.find_spec('rasterio') is None:
        raise ModuleNotFoundError(
            'change maps of files are read and written by rasterio, which is not installed: '
            "pip install --no-build-isolation -e '.[change]'"
        )
    import rasterio
    import rasterio.features
    import rasterio.warp

    return rasterio


@contextmanager
def _quiet(rasterio: ModuleType) -> Iterator[None]:
    """Within it, rasters without a georeference open without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        yield


class RasterPair:
    """Two rasters of one grid, read window by window as the networks take them.

    Args:
        before, after: files of any format that GDAL reads.
        channels: bands that the network takes of each date.
        bands: numbers (from 1) of the bands to take, in the network's order; None takes all where
            the file has as many as the network takes, an alpha band not counted.
        value_range: values that become 0 and 255, for rasters of other than 8 bits.
        fill: values of the channels put where a date has no data.

    Attributes:
        height, width: pixels.
        crs: the projection, or None; `transform`: from (column, row) to its coordinates.
        placed: whether the rasters say where they lie.
        pixel_area: square metres of a pixel; None where the projection is in degrees or absent.

    Raises:
        ImageError: a file is missing or cannot be read, its bands or values do not fit the
            network, or the dates are not of one size, projection and place.
    """

    def __init__(
        self,
        before: str | Path,
        after: str | Path,
        channels: int,
        *,
        bands: Sequence[int] | None = None,
        value_range: tuple[float, float] | None = None,
        fill: Sequence[float] | None = None,
    ):
        self._range = _limits(value_range)
        self._fill = np.rint(np.zeros(channels) if fill is None else fill).astype(np.uint8)
        self._rasterio = require_rasterio()
        self._env = self._rasterio.Env(GDAL_CACHEMAX=_CACHE, GDAL_NUM_THREADS=1)
        self._env.__enter__()
        self.files: list[Any] = []
        try:
            self.files += [self._open(path) for path in (before, after)]
            self._bands = [_choose_bands(file, channels, bands) for file in self.files]
            for file, chosen in zip(self.files, self._bands, strict=True):
                _check_values(file, chosen, value_range)
            _check_grid(*self.files)
        except BaseException:
            self.close()
            raise
        self.height, self.width = self.files[0].height, self.files[0].width
        self.crs, self.transform = self.files[0].crs, self.files[0].transform
        self.placed = self.crs is not None and not self.transform.is_identity
        self.pixel_area: float | None = None
        if self.placed and self.crs.is_projected:
            metres = self.crs.linear_units_factor[1]
            self.pixel_area = abs(self.transform.determinant) * metres**2

    def __enter__(self) -> 'RasterPair':
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both files."""
        for file in self.files:
            file.close()
        self._env.__exit__()

    def identity(self) -> list[list[Any]]:
        """What tells whether the files are still the same: name, bytes, time of change."""
        found = []
        for file in self.files:
            state = Path(file.name).stat()
            found.append([Path(file.name).name, state.st_size, state.st_mtime_ns])
        return found

    def read(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Both dates (height, width, 2 C) uint8 of a window, and where both have data (bool)."""
        window = self._rasterio.windows.Window(left, top, width, height)
        dates, valid = [], np.ones((height, width), bool)
        for file, chosen in zip(self.files, self._bands, strict=True):
            try:
                values = file.read(chosen, window=window)  # (C, h, w)
                valid &= file.dataset_mask(window=window) > 0
            except self._rasterio.errors.RasterioError as error:
                raise ImageError(
                    f'{file.name}: rows {top} to {top + height}, columns {left} to {left + width} '
                    f'cannot be read ({error.__cause__ or error}); the file is damaged, copy it '
                    'again.'
                ) from error
            finite = np.isfinite(values).all(axis=0)
            valid &= finite
            dates.append(np.where(finite, values, 0).transpose(1, 2, 0))
        parts = [to_bytes(date, date.shape[2], self._range) for date in dates]
        for part in parts:
            part[~valid] = self._fill
        return np.concatenate(parts, axis=2), valid

    def write(
        self,
        path: Path,
        strips: Iterator[np.ndarray],
        names: Sequence[str],
        *,
        nodata: int,
        colours: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> None:
        """Write a GeoTIFF on this grid, whole or not at all.

        Args:
            path: the file.
            strips: (bands, rows, width) uint8, from the top, of any numbers of rows.
            names: of the bands.
            nodata: the value of pixels without data.
            colours: (values, 3) uint8 of a single band.
            scale: what stored values are to be multiplied by.
        """
        profile = {
            'driver': 'GTiff',
            'height': self.height,
            'width': self.width,
            'count': len(names),
            'dtype': 'uint8',
            'nodata': nodata,
            'tiled': True,
            'blockxsize': _BLOCK,
            'blockysize': _BLOCK,
            'compress': 'deflate',
            'BIGTIFF': 'IF_SAFER',
            'interleave': 'band',
        }
        if self.crs is not None:
            profile['crs'] = self.crs
        if not self.transform.is_identity:
            profile['transform'] = self.transform

        def fill(part: Path) -> None:
            with _quiet(self._rasterio), self._rasterio.open(part, 'w', **profile) as file:
                file.descriptions = tuple(names)
                file.scales = (scale,) * len(names)
                if colours is not None:
                    file.write_colormap(1, {i: (*c, 255) for i, c in enumerate(colours.tolist())})
                top = 0
                for rows in _by_rows(strips, _BLOCK):
                    window = self._rasterio.windows.Window(0, top, self.width, rows.shape[1])
                    file.write(rows, window=window)
                    top += rows.shape[1]

        atomic_write(path, fill)

    def _open(self, path: str | Path) -> Any:
        path = Path(path)
        if not path.is_file():
            raise ImageError(f'{path}: no such file.')
        try:
            with _quiet(self._rasterio):
                return self._rasterio.open(path)
        except self._rasterio.errors.RasterioIOError as error:
            raise ImageError(
                f'{path}: cannot be read as a raster ({path.stat().st_size} bytes): {error}'
            ) from error


def _limits(value_range: tuple[float, float] | None) -> tuple[float, float]:
    low, high = (0.0, 255.0) if value_range is None else (float(v) for v in value_range)
    if not low < high or not math.isfinite(high - low):
        raise ImageError(f'value_range=({low}, {high}) must be two rising numbers.')
    return low, high


def _choose_bands(file: Any, channels: int, bands: Sequence[int] | None) -> list[int]:
    """The bands of a file that the network is given."""
    have = file.count
    if bands is not None:
        chosen = list(bands)
        if len(chosen) != channels or not all(1 <= band <= have for band in chosen):
            raise ImageError(
                f'{file.name}: bands={chosen} must be {channels} numbers from 1 to {have}.'
            )
        return chosen
    alpha = file.colorinterp[-1].name == 'alpha'
    if have - alpha == channels:
        return list(range(1, channels + 1))
    example = [1] * channels if have == 1 else [1 + i % have for i in range(channels)]
    raise ImageError(
        f'{file.name}: has {have - alpha} band{"s" if have - alpha > 1 else ""}, the network takes '
        f'{channels} of each date, as a rule red, green, blue; say which, for example '
        f'bands={example} (--bands {" ".join(map(str, example))}'
        + (', which repeats the one).' if have == 1 else ').')
    )


def _check_values(file: Any, bands: Sequence[int], value_range: object) -> None:
    kinds = {np.dtype(file.dtypes[band - 1]) for band in bands}
    for kind in kinds:
        if kind.kind not in 'uif':
            raise ImageError(f'{file.name}: holds {kind}, which is not a real number.')
        if kind != np.uint8 and value_range is None:
            raise ImageError(
                f'{file.name}: holds {kind}, whose darkest and brightest value are not known; give '
                'them, for example value_range=(0, 3000), --range 0 3000.'
            )


def _check_grid(before: Any, after: Any) -> None:
    """Refuse dates that are not of one size, projection and place."""
    for what, one, other in (
        ('pixels', _by(before), _by(after)),
        ('projection', before.crs, after.crs),
    ):
        if one != other:
            raise ImageError(
                f'{before.name} has {what} {one or "none"}, {after.name} {other or "none"}; both '
                'dates must lie on one grid: warp one onto the other first (gdalwarp, rio warp).'
            )
    width, height = before.width, before.height
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
    there = place(~before.transform, place(after.transform, corners))
    away = np.hypot(*(there - corners).T).max()
    if away > _APART:
        raise ImageError(
            f'{before.name} and {after.name} lie up to {away:.2f} pixels apart '
            f'({_bounds(before)} and {_bounds(after)}); both dates must lie on one grid: warp one '
            'onto the other first (gdalwarp, rio warp).'
        )


def place(transform: Any, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) under an affine transform."""
    a, b, c, d, e, f = transform[:6]
    return points @ np.array([[a, d], [b, e]]) + (c, f)


def _by(file: Any) -> str:
    return f'{file.width}x{file.height}'


def _bounds(file: Any) -> str:
    return 'bounds ' + ' '.join(f'{value:.9g}' for value in file.bounds)


def _by_rows(strips: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The same rows, `count` at a time, so that each block is written once."""
    held: list[np.ndarray] = []
    rows = 0
    for strip in strips:
        held.append(strip)
        rows += strip.shape[1]
        if rows < count:
            continue
        whole = np.concatenate(held, axis=1)
        for top in range(0, rows - rows % count, count):
            yield np.ascontiguousarray(whole[:, top : top + count])
        held, rows = [whole[:, rows - rows % count :]], rows % count
    if rows:
        yield np.concatenate(held, axis=1)


def find_pairs(
    before: str | Path, after: str | Path
) -> tuple[Mapping[str, tuple[Path, Path]], tuple[str, ...]]:
    """Pairs of two files, or of the files of one name in two folders, and what is left over.

    Returns:
        Name of the pair (empty for two files) -> files; a line for each file without a
        partner, or with the name of another one.

    Raises:
        ImageError: a file beside a folder, nothing there, or no pair at all.
    """
    sides = [Path(before), Path(after)]
    for path in sides:
        if not path.exists():
            raise ImageError(f'{path}: no such file or folder.')
    if all(path.is_file() for path in sides):
        return {'': (sides[0], sides[1])}, ()
    if any(path.is_file() for path in sides):
        raise ImageError(f'{sides[0]} and {sides[1]}: give two files, or two folders.')
    alone: list[str] = []
    found = [_by_name(side, alone) for side in sides]
    for files, partners, other in ((*found, sides[1]), (*found[::-1], sides[0])):
        alone += [
            f'{path}: has no partner of that name in {other}.'
            for name, path in files.items()
            if name not in partners
        ]
    pairs = {name: (path, found[1][name]) for name, path in found[0].items() if name in found[1]}
    if not pairs:
        raise ImageError(f'{sides[0]} and {sides[1]}: no two files of one name in these folders.')
    return pairs, tuple(alone)


def _by_name(folder: Path, problems: list[str]) -> dict[str, Path]:
    """The rasters of a folder by their names without suffix; those of one name are problems."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix.lower() not in _SUFFIXES:
            continue
        if path.stem in found:
            problems.append(f'{path}: has the name of {found[path.stem].name}; rename one of them.')
        else:
            found[path.stem] = path
    return found
