"""Outlines of the regions of a class map of any size, as GeoJSON, in bounded memory."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..weights.save import atomic_write
from .raster import RasterPair, place, require_rasterio

# rows that are outlined at once, and rows up to which a region is kept in one piece
STRIP, TALLEST = 256, 4096
_BATCH = 500
# a degree in steps of a tenth of a millimetre
_DIGITS = 9
_LONGITUDE_LATITUDE = 'EPSG:4326'


@dataclass(frozen=True)
class Region:
    """Neighbouring pixels (by an edge) of one value.

    Attributes:
        value: of the pixels.
        rings: closed outlines (n, 2) of (column, row) corners, the outer one first, then holes.
        pixels: how many there are.
    """

    value: int
    rings: tuple[np.ndarray, ...]
    pixels: int


def regions(
    rows: Callable[[int, int], np.ndarray],
    height: int,
    *,
    strip: int = STRIP,
    tallest: int = TALLEST,
) -> Iterator[Region]:
    """Regions of values other than 0, strip by strip from the top.

    A region that goes on below the strip waits for the next one, which starts again at the
    region's first row. Regions are whole up to `tallest` rows; where one is taller, all that
    cross that row are cut there.

    Args:
        rows: from (first, end) to those rows (end - first, width) of the map, uint16.
        height: rows of the map.
        strip: rows taken at once.
        tallest: rows that are held at most, besides one strip.
    """
    start, known = 0, 0  # rows from `start` are looked at; regions that end by `known` are out
    while known < height:
        end = min(known + strip, height)
        waiting = []
        window = rows(start, end)
        for region in _outline(window, start):
            bottom = int(region.rings[0][:, 1].max())
            if bottom < known:
                continue  # a part of what is out already
            if bottom == end and end < height:
                waiting.append(region)
            else:
                yield region
        first = min((int(region.rings[0][:, 1].min()) for region in waiting), default=end)
        if end - first > tallest:
            yield from waiting
            first = end
        start, known = first, end


def _outline(window: np.ndarray, top: int) -> Iterator[Region]:
    features = require_rasterio().features
    for shape, value in features.shapes(window, mask=window > 0, connectivity=4):
        rings = tuple(np.asarray(ring) + (0, top) for ring in shape['coordinates'])
        area = abs(_signed_area(rings[0])) - sum(abs(_signed_area(ring)) for ring in rings[1:])
        yield Region(int(value), rings, round(area))


def _signed_area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1] - ring[0, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


def write_geojson(
    path: Path,
    found: Iterator[Region],
    pair: RasterPair,
    describe: Callable[[int], Mapping[str, Any]],
) -> int:
    """Write regions as GeoJSON (RFC 7946), one after the other; how many.

    Coordinates are longitude and latitude; without a georeference they are columns and rows.

    Args:
        path: the file.
        found: the regions.
        pair: the rasters whose grid the regions are of.
        describe: from a value to the properties of its regions; `pixels` and, where a pixel has
            one size, `area_m2` are added.
    """
    area, count = pair.pixel_area, 0

    def feature(region: Region, geometry: Mapping[str, Any]) -> str:
        properties = {**describe(region.value), 'pixels': region.pixels}
        if area is not None:
            properties['area_m2'] = round(region.pixels * area, 3)
        return json.dumps({'type': 'Feature', 'properties': properties, 'geometry': geometry})

    def write(part: Path) -> None:
        nonlocal count
        with part.open('w') as file:
            file.write('{"type": "FeatureCollection", "features": [')
            while batch := list(itertools.islice(found, _BATCH)):
                shapes = _placed(batch, pair)
                for region, shape in zip(batch, shapes, strict=True):
                    file.write((',\n' if count else '\n') + feature(region, shape))
                    count += 1
            file.write('\n]}\n')

    atomic_write(path, write)
    return count


def _placed(batch: Sequence[Region], pair: RasterPair) -> list[dict[str, Any]]:
    """Geometries of regions, in longitude and latitude where the rasters are placed."""
    counts = [len(ring) for region in batch for ring in region.rings]
    points = np.concatenate([ring for region in batch for ring in region.rings])
    if pair.placed:
        x, y = place(pair.transform, points).T
        warped = require_rasterio().warp.transform(pair.crs, _LONGITUDE_LATITUDE, x, y)
        points = np.round(np.transpose(warped), _DIGITS)
    rings = iter(np.split(points, np.cumsum(counts)[:-1]))
    return [
        {'type': 'Polygon', 'coordinates': [next(rings).tolist() for _ in region.rings]}
        for region in batch
    ]
