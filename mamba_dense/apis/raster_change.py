"""Change detection of rasters of any size: tiles, bands, GeoTIFF, outlines and a table.

Tiles are predicted one by one; their scores lie on the disk until no band of rows needs them. A
band is blended cell by cell of the tiles' grid, so that memory depends on the tile and on a few
hundred rows of class numbers, not on the raster. All results are made from the finished bands, and
a run that was killed goes on with what is on the disk; its files are those of an unbroken run.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .change import (
    NODATA,
    bands_of_a_date,
    check_change_detector,
    colours,
    decide,
    outputs,
    predict_dates,
)
from .change_table import Theme, write_statistics
from .cluster import Cluster
from .journal import Journal
from .large_image import blend_weights, tile_starts
from .raster import RasterPair
from .vectors import regions, write_geojson

Key = tuple[int, int]
# probabilities are stored in these steps
_STEPS = 254
FOLDER = '.parts'


@dataclass(frozen=True)
class RasterOptions:
    """How to predict a pair of rasters.

    Attributes:
        tile: side of the tiles.
        overlap: pixels that neighbouring tiles share; None is a quarter of the tile.
        bands: numbers (from 1) of the bands to take of each date; None takes all.
        value_range: values that become 0 and 255, for rasters of other than 8 bits.
        probabilities: write them too.
        cluster: address of a Ray cluster, `local` for processes of this machine, or None for this
            process alone.
    """

    tile: int = 256
    overlap: int | None = None
    bands: Sequence[int] | None = None
    value_range: tuple[float, float] | None = None
    probabilities: bool = False
    cluster: str | None = None


@dataclass(frozen=True)
class RasterResult:
    """What was written.

    Attributes:
        files: all of them.
        table: rows of the statistics, see `write_statistics`.
        regions: how many outlines there are.
        notices: what to know about the results.
        seconds: that it took.
    """

    files: tuple[Path, ...]
    table: tuple[Mapping[str, str], ...]
    regions: int
    notices: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """Where the tiles of a raster lie: starts of their rows and columns, and their size."""

    size: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    tile: tuple[int, int]

    @classmethod
    def of(cls, height: int, width: int, tile: int, overlap: int) -> 'Plan':
        """The plan of a raster of this size."""
        tops, lefts = (tile_starts(length, tile, overlap) for length in (height, width))
        return cls((height, width), tops, lefts, (min(tile, height), min(tile, width)))

    def band(self, row: int) -> tuple[int, int]:
        """First row and end of what no further row of tiles touches after this one."""
        return self.tops[row], (*self.tops, self.size[0])[row + 1]

    def cell(self, column: int) -> tuple[int, int]:
        """First column and end of the cell below the start of a column of tiles."""
        return self.lefts[column], (*self.lefts, self.size[1])[column + 1]

    def rows(self, row: int) -> tuple[int, ...]:
        """Rows of tiles that touch a band."""
        top = self.tops[row]
        return tuple(r for r in range(row + 1) if self.tops[r] + self.tile[0] > top)

    def columns(self, column: int) -> tuple[int, ...]:
        """Columns of tiles that touch a cell."""
        left = self.lefts[column]
        return tuple(c for c in range(column + 1) if self.lefts[c] + self.tile[1] > left)


def infer_change_raster(
    model: nn.Module,
    before: str | Path,
    after: str | Path,
    out: str | Path,
    options: RasterOptions | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> RasterResult:
    """Predict what changed between two rasters of one grid, of any size.

    Writes into `out`: NAME.tif of every output (class numbers, 255 without data),
    NAME_probability.tif if asked for (one band a class, in steps of 1/254), changes.geojson (see
    `regions`) and statistics.csv. While it works, `out`/.parts holds what is done; started again
    with the same files, network and options, it goes on from there.

    Args:
        model: a change network from `init_model`.
        before, after: files that GDAL reads; pictures without a georeference work, in pixels.
        out: folder for the results.
        options: how.
        on_tile: called after each tile with how many are done and how many there are.

    Raises:
        ImageError: the rasters cannot be used, or do not fit each other or the network.
        ValueError: the network is not of change detection, or tile and overlap do not fit.
        OSError: the results cannot be written, or another process writes them.
        ConnectionError: no cluster at that address.
    """
    check_change_detector(model)
    options, start = options or RasterOptions(), time.monotonic()
    overlap = options.tile // 4 if options.overlap is None else options.overlap
    with RasterPair(
        before,
        after,
        bands_of_a_date(model),
        bands=options.bands,
        value_range=options.value_range,
        fill=_mean(model),
    ) as pair:
        plan = Plan.of(pair.height, pair.width, options.tile, overlap)
        job = {
            'files': pair.identity(),
            'network': _digest(model),
            'torch': torch.__version__,
            'tile': [options.tile, overlap],
            'bands': list(options.bands or ()),
            'value_range': list(options.value_range or ()),
            'probabilities': options.probabilities,
        }
        with Journal(Path(out) / FOLDER, job) as journal:
            notices = list(_notices(pair, journal))
            work = _Work(model, pair, plan, journal, options)
            work.predict(on_tile)
            files, table, count = work.write(Path(out))
            if not any(row['output'] != 'nodata' and int(row['pixels']) for row in table):
                notices.append('no pixel has data on both dates, so nothing was predicted')
            journal.remove()
    return RasterResult(files, table, count, tuple(notices), time.monotonic() - start)


def _mean(model: nn.Module) -> np.ndarray | None:
    """What the network takes for nothing, in the channels of a date."""
    mean = getattr(model.data_preprocessor, 'mean', None)
    return None if mean is None else mean.flatten()[: bands_of_a_date(model)].cpu().numpy()


def _digest(model: nn.Module) -> str:
    """What tells networks apart: a digest of the weights and of how they are built."""
    found = hashlib.sha256(f'{model} {model.test_cfg}'.encode())
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _notices(pair: RasterPair, journal: Journal) -> Iterator[str]:
    if not pair.placed:
        yield 'the rasters have no georeference: areas are in pixels, outlines in columns and rows'
    elif pair.pixel_area is None:
        yield (
            f'{pair.crs} is in degrees, so a pixel has no one size: areas are in pixels; warp to a '
            'projection in metres for square metres'
        )
    if journal.resumed:
        yield 'went on from what an earlier run had done'


class _Work:
    """One pair of rasters on its way to its results."""

    def __init__(
        self,
        model: nn.Module,
        pair: RasterPair,
        plan: Plan,
        journal: Journal,
        options: RasterOptions,
    ):
        self.model, self.pair, self.plan, self.journal = model, pair, plan, journal
        self.options = options
        self.outputs = outputs(model)
        self.weights = blend_weights(*plan.tile)

    def predict(self, on_tile: Callable[[int, int], None] | None) -> None:
        """Tiles, and each band as soon as all its tiles are there."""
        plan, journal = self.plan, self.journal
        bands = [row for row in range(len(plan.tops)) if not journal.has_band(row)]
        rows = sorted({needed for row in bands for needed in plan.rows(row)})
        left = {
            row: {c for c in range(len(plan.lefts)) if not journal.has_tile(row, c)} for row in rows
        }
        total = len(plan.tops) * len(plan.lefts)
        missing = [(row, column) for row in rows for column in sorted(left[row])]
        done = total - len(missing)
        self._finish(bands, left)
        for (row, column), scores in self._scores(missing):
            journal.put_tile(row, column, scores)
            left[row].discard(column)
            done += 1
            if on_tile is not None:
                on_tile(done, total)
            self._finish(bands, left)

    def _finish(self, bands: list[int], left: Mapping[int, set[int]]) -> None:
        """The first bands, as long as they have all their tiles; they leave the list."""
        while bands and not any(left[row] for row in self.plan.rows(bands[0])):
            band = bands.pop(0)
            self.journal.put_band(band, self._blend(band))
            kept = self.plan.rows(bands[0]) if bands else ()
            for row in self.plan.rows(band):
                if row not in kept:
                    self.journal.drop_row(row)

    def _scores(self, keys: Sequence[Key]) -> Iterator[tuple[Key, np.ndarray | None]]:
        """Scores of tiles by their keys, in any order; None for those without data."""
        empty: list[Key] = []

        def jobs() -> Iterator[tuple[Key, np.ndarray]]:
            for key in keys:
                top, left = self.plan.tops[key[0]], self.plan.lefts[key[1]]
                pixels, valid = self.pair.read(top, left, *self.plan.tile)
                if valid.any():
                    yield key, pixels
                else:
                    empty.append(key)

        def predicted() -> Iterator[tuple[Key, np.ndarray]]:
            if self.options.cluster is None or not keys:
                yield from ((key, predict_dates(self.model, pixels)) for key, pixels in jobs())
                return
            with Cluster(self.options.cluster, self.model) as cluster:
                yield from cluster.predict(jobs())

        for key, scores in predicted():
            yield from ((empty.pop(), None) for _ in list(empty))
            yield key, scores
        yield from ((empty.pop(), None) for _ in list(empty))

    def _blend(self, band: int) -> np.ndarray:
        """Maps (maps, rows, width) uint8 of a band: classes, then probabilities if asked for."""
        top, end = self.plan.band(band)
        count = len(self.outputs)
        if self.options.probabilities:
            count += sum(self.outputs.values())
        maps = np.empty((count, end - top, self.pair.width), np.uint8)
        for column in range(len(self.plan.lefts)):
            left, right = self.plan.cell(column)
            _, valid = self.pair.read(top, left, end - top, right - left)
            scores = self._cell(band, column)
            found = decide(self.model, scores).maps
            parts = [found[name] for name in self.outputs]
            if self.options.probabilities:
                parts += list(np.rint(scores * _STEPS).astype(np.uint8))
            maps[:, :, left:right] = np.where(valid, np.stack(parts), NODATA)
        return maps

    def _cell(self, band: int, column: int) -> np.ndarray:
        """Scores (classes, rows, columns) of a cell: the weighted mean of the tiles that touch."""
        (top, end), (left, right) = self.plan.band(band), self.plan.cell(column)
        total = np.zeros((sum(self.outputs.values()), end - top, right - left), np.float32)
        share = np.zeros(total.shape[1:], np.float32)
        for row in self.plan.rows(band):
            for other in self.plan.columns(column):
                scores = self.journal.tile(row, other)
                if scores is None:
                    continue
                y, x = top - self.plan.tops[row], left - self.plan.lefts[other]
                height = min(end - top, self.plan.tile[0] - y)
                width = min(right - left, self.plan.tile[1] - x)
                weights = self.weights[y : y + height, x : x + width]
                total[:, :height, :width] += scores[:, y : y + height, x : x + width] * weights
                share[:height, :width] += weights
        return total / np.where(share > 0, share, 1)

    def write(self, out: Path) -> tuple[tuple[Path, ...], tuple[Mapping[str, str], ...], int]:
        """All results from the finished bands: files, rows of the table, number of outlines."""
        for name in (*self.outputs, 'statistics', 'changes'):
            for stale in out.glob(f'.{name}*.part'):
                stale.unlink()  # of a run killed as it wrote; no other is at work
        files, first = [], len(self.outputs)
        paint = colours(self.model)
        theme = Theme.of(self.model)
        for index, (name, classes) in enumerate(self.outputs.items()):
            files.append(out / f'{name}.tif')
            strips = (band[index : index + 1] for band in self._bands())
            self.pair.write(files[-1], strips, [name], nodata=NODATA, colours=paint[name])
            if self.options.probabilities:
                files.append(out / f'{name}_probability.tif')
                strips = (band[slice(*span)] for band, span in self._spans(first, classes))
                names = theme.classes[name]
                self.pair.write(files[-1], strips, names, nodata=NODATA, scale=1 / _STEPS)
                first += classes
        files.append(out / 'statistics.csv')
        names = list(self.outputs)
        maps = (dict(zip(names, band, strict=False)) for band in self._bands())
        table = write_statistics(files[-1], maps, theme, self.pair.pixel_area)
        files.append(out / 'changes.geojson')
        found = regions(partial(self._themes, theme), self.pair.height)
        count = write_geojson(files[-1], found, self.pair, theme.describe)
        return tuple(files), table, count

    def _bands(self) -> Iterator[np.ndarray]:
        """Finished bands (maps, rows, width), from the top."""
        return (self.journal.band(index) for index in range(len(self.plan.tops)))

    def _spans(self, first: int, count: int) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
        return ((band, (first, first + count)) for band in self._bands())

    def _themes(self, theme: Theme, first: int, end: int) -> np.ndarray:
        """What is outlined, of some rows."""
        parts = []
        for index in range(len(self.plan.tops)):
            top, bottom = self.plan.band(index)
            if bottom > first and top < end:
                band = self.journal.band(index)[:, max(first - top, 0) : end - top]
                parts.append(theme.values(dict(zip(self.outputs, band, strict=False))))
        return np.concatenate(parts)
