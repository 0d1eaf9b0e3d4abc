"""Rasters: the same as in memory, placed as the dates are; nodata, pictures, bad input."""

import csv
import json
import os

import cv2
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra change')
pytest.importorskip('rasterio', reason='needs the extra change')

import rasterio
from rasterio.transform import from_origin
from torch import nn

from mamba_dense.apis import (
    ImageError,
    RasterOptions,
    infer_change,
    infer_change_raster,
    init_model,
)
from mamba_dense.apis.journal import Journal
from mamba_dense.apis.raster import RasterPair, find_pairs, require_rasterio
from mamba_dense.apis.raster_change import FOLDER

from .rasters import tiny_network, write_pair

TILES = RasterOptions(tile=96, overlap=24)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return init_model(*tiny_network(tmp_path_factory.mktemp('network')), 'cpu')


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp('pair'), 200, 230)


def pixels(path):
    with rasterio.open(path) as file:
        return file.read()


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def put(path, change, **profile):
    """The raster again with other pixels or another profile."""
    with rasterio.open(path) as file:
        values, options = change(file.read()), file.profile | profile
    with rasterio.open(path, 'w', **options) as file:
        file.write(values)


def test_the_same_as_in_memory_and_in_place(model, pair, tmp_path):
    options = RasterOptions(tile=96, overlap=24, probabilities=True)
    seen = []
    result = infer_change_raster(
        model, *pair, tmp_path, options, lambda done, total: seen.append((done, total))
    )
    assert seen == [(i + 1, 9) for i in range(9)]
    dates = [pixels(path).transpose(1, 2, 0) for path in pair]
    expected = infer_change(model, *dates, tile=96, overlap=24)
    with rasterio.open(pair[0]) as date, rasterio.open(tmp_path / 'change.tif') as file:
        assert (file.crs, file.transform) == (date.crs, date.transform)
        assert file.nodata == 255 and file.colormap(1)[1] == (255, 255, 255, 255)
        found = file.read(1)
    np.testing.assert_array_equal(found, expected.maps['change'])
    assert 0 < (found == 1).sum() < found.size
    with rasterio.open(tmp_path / 'change_probability.tif') as file:
        stored, scale = file.read(), file.scales[0]
        assert file.descriptions == ('unchanged', 'changed')
    np.testing.assert_allclose(
        stored.max(axis=0) * scale, expected.confidence['change'], atol=0.51 / 254
    )
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in result.files)


def test_numbers_and_outlines_agree(model, pair, tmp_path):
    result = infer_change_raster(model, *pair, tmp_path, TILES)
    found = pixels(tmp_path / 'change.tif')[0]
    table = rows(tmp_path / 'statistics.csv')
    assert [row['name'] for row in table[:2]] == ['unchanged', 'changed']
    assert [int(row['pixels']) for row in table] == [(found == 0).sum(), (found == 1).sum(), 0]
    assert float(table[1]['area_m2']) == (found == 1).sum() * 0.25
    features = json.loads((tmp_path / 'changes.geojson').read_text())['features']
    assert len(features) == result.regions > 1
    assert sum(f['properties']['pixels'] for f in features) == (found == 1).sum()
    # drawn again where they say they are, they are the map
    shapes = rasterio.warp.transform_geom(
        'EPSG:4326', 'EPSG:32633', [feature['geometry'] for feature in features]
    )
    with rasterio.open(tmp_path / 'change.tif') as file:
        drawn = rasterio.features.rasterize(shapes, out_shape=found.shape, transform=file.transform)
    np.testing.assert_array_equal(drawn, found)


@pytest.mark.parametrize('task', ['scd', 'bda'])
def test_transitions_and_grades(task, pair, tmp_path):
    model = init_model(f'changemamba-nano_{task}_scenes-128x128', device='cpu')
    for name, layer in model.decode_head.named_children():
        if name.endswith('classifier'):
            nn.init.normal_(layer.weight, 0, 3)  # so that it says one thing here, another there
    infer_change_raster(model, *pair, tmp_path, RasterOptions(tile=128))
    maps = {name: pixels(tmp_path / f'{name}.tif')[0] for name in model.decode_head.outputs}
    table = rows(tmp_path / 'statistics.csv')
    features = json.loads((tmp_path / 'changes.geojson').read_text())['features']
    told = {}
    for feature in features:
        properties = feature['properties']
        name = f'{properties.get("from", "")}>{properties["class"]}'
        told[name] = told.get(name, 0) + properties['pixels']
    if task == 'bda':
        grades = np.bincount(maps['damage'].ravel(), minlength=5)
        assert [int(r['pixels']) for r in table if r['output'] == 'damage'] == grades.tolist()
        assert told == {f'>{i}': grades[i] for i in range(1, 5) if grades[i]}
    else:
        both = (maps['pre'] > 0) & (maps['post'] > 0)
        codes, counts = np.unique(maps['pre'][both] * 10 + maps['post'][both], return_counts=True)
        expected = {f'{c // 10}>{c % 10}': n for c, n in zip(codes.tolist(), counts.tolist())}
        stated = {r['class']: int(r['pixels']) for r in table if r['output'] == 'transition'}
        assert told == stated == expected and expected


def test_nodata_is_kept_and_not_predicted(model, tmp_path, monkeypatch):
    dates = write_pair(tmp_path, 200, 230, nodata=0)

    def hide(values):
        values = np.maximum(values, 1)
        values[:, :110] = 0  # the first row of tiles and a part of the second
        return values

    put(dates[0], lambda values: np.maximum(values, 1))
    put(dates[1], hide)
    calls = []
    whole = model.inference
    monkeypatch.setattr(model, 'inference', lambda *args: calls.append(1) or whole(*args))
    infer_change_raster(model, *dates, tmp_path / 'out', TILES)
    found = pixels(tmp_path / 'out/change.tif')[0]
    assert (found[:110] == 255).all() and (found[110:] != 255).all()
    assert len(calls) == 6  # of 9 tiles
    table = rows(tmp_path / 'out/statistics.csv')
    assert table[-1]['output'] == 'nodata' and int(table[-1]['pixels']) == 110 * 230
    assert sum(float(row['share']) for row in table[:-1]) == pytest.approx(1, abs=1e-5)
    # what lies under nodata has no say
    put(dates[0], lambda values: np.concatenate([values[:, :110] // 2 + 1, values[:, 110:]], 1))
    infer_change_raster(model, *dates, tmp_path / 'again', TILES)
    np.testing.assert_array_equal(pixels(tmp_path / 'again/change.tif')[0], found)


def test_nothing_but_nodata(model, tmp_path):
    dates = write_pair(tmp_path, 100, 100, nodata=0)
    put(dates[0], np.zeros_like)
    result = infer_change_raster(model, *dates, tmp_path / 'out', TILES)
    assert any('no pixel has data' in notice for notice in result.notices)
    assert (pixels(tmp_path / 'out/change.tif') == 255).all() and result.regions == 0


def test_pictures_work_in_pixels(model, pair, tmp_path):
    pictures = [tmp_path / 'a.png', tmp_path / 'b.png']
    for picture, path in zip(pictures, pair):
        cv2.imwrite(str(picture), pixels(path).transpose(1, 2, 0)[:, :, ::-1])
    result = infer_change_raster(model, *pictures, tmp_path / 'out', TILES)
    assert any('no georeference' in notice for notice in result.notices)
    infer_change_raster(model, *pair, tmp_path / 'placed', TILES)
    np.testing.assert_array_equal(
        pixels(tmp_path / 'out/change.tif'), pixels(tmp_path / 'placed/change.tif')
    )
    assert {row['area_m2'] for row in rows(tmp_path / 'out/statistics.csv')} == {''}
    (first, *_) = json.loads((tmp_path / 'out/changes.geojson').read_text())['features']
    corners = np.array(first['geometry']['coordinates'][0])
    assert (corners == corners.round()).all() and corners.max() <= 230


def test_degrees_have_no_square_metres(model, tmp_path):
    dates = write_pair(tmp_path, 60, 70, crs='EPSG:4326', transform=from_origin(15, 45, 1e-5, 1e-5))
    result = infer_change_raster(model, *dates, tmp_path / 'out', TILES)
    assert any('degrees' in notice for notice in result.notices)
    assert {row['area_m2'] for row in result.table} == {''}


def test_deep_rasters_with_more_bands(model, pair, tmp_path):
    dates = [tmp_path / 'a.tif', tmp_path / 'b.tif']
    for path, source in zip(dates, pair):
        values = pixels(source).astype(np.int16)
        with rasterio.open(source) as file:
            profile = file.profile | {'count': 4, 'dtype': 'int16'}
        with rasterio.open(path, 'w', **profile) as file:
            file.write(np.concatenate([values[:1] * 0 - 9, values[::-1]]) * 10)
    with pytest.raises(ImageError, match=r'a.tif: has 4 bands, the network takes 3 .*--bands'):
        infer_change_raster(model, *dates, tmp_path / 'out')
    with pytest.raises(ImageError, match=r'a.tif: holds int16.*--range'):
        infer_change_raster(model, *dates, tmp_path / 'out', RasterOptions(bands=(4, 3, 2)))
    options = RasterOptions(tile=96, overlap=24, bands=(4, 3, 2), value_range=(0, 2550))
    infer_change_raster(model, *dates, tmp_path / 'out', options)
    infer_change_raster(model, *pair, tmp_path / 'plain', TILES)
    np.testing.assert_array_equal(
        pixels(tmp_path / 'out/change.tif'), pixels(tmp_path / 'plain/change.tif')
    )


def test_one_band(model, tmp_path):
    dates = write_pair(tmp_path, 60, 70)
    for path in dates:
        put(path, lambda values: values[:1], count=1)
    with pytest.raises(ImageError, match=r'has 1 band, .* \(--bands 1 1 1, which repeats the one'):
        infer_change_raster(model, *dates, tmp_path / 'out', TILES)
    infer_change_raster(model, *dates, tmp_path / 'out', RasterOptions(bands=(1, 1, 1)))
    assert pixels(tmp_path / 'out/change.tif').shape == (1, 60, 70)


@pytest.mark.parametrize(
    ('profile', 'reason'),
    [
        ({'height': 59}, 'has pixels 70x60, .* 70x59; both dates must lie on one grid'),
        ({'crs': 'EPSG:32634'}, 'has projection EPSG:32633, .* EPSG:32634'),
        ({'crs': None}, 'has projection EPSG:32633, .* none'),
        ({'transform': from_origin(500010, 5000000, 0.5, 0.5)}, '20.00 pixels apart .*bounds'),
        ({'transform': from_origin(500000, 5000000, 0.6, 0.5)}, '14.00 pixels apart'),
    ],
)
def test_dates_that_do_not_lie_on_one_grid(model, tmp_path, profile, reason):
    dates = write_pair(tmp_path, 60, 70)
    put(dates[1], lambda values: values[:, : profile.get('height', 60)], **profile)
    with pytest.raises(ImageError, match=reason):
        infer_change_raster(model, *dates, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_files_that_cannot_be_read(model, tmp_path):
    before, after = write_pair(tmp_path, 600, 600)
    for path, reason in ((tmp_path / 'absent.tif', 'no such file'), (tmp_path, 'no such file')):
        with pytest.raises(ImageError, match=reason):
            infer_change_raster(model, before, path, tmp_path / 'out')
    after.write_bytes(b'no raster')
    with pytest.raises(ImageError, match='b.tif: cannot be read as a raster .9 bytes'):
        infer_change_raster(model, before, after, tmp_path / 'out')
    content = before.read_bytes()
    after.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r'b.tif: .*cannot be read'):
        infer_change_raster(model, before, after, tmp_path / 'out')


def test_partners(tmp_path):
    for side, names in (
        ('a', ('1.tif', '1.tiff', '2.tif', 'notes.txt')),
        ('b', ('1.png', '3.tif')),
    ):
        (tmp_path / side).mkdir()
        for name in names:
            (tmp_path / side / name).touch()
    pairs, alone = find_pairs(tmp_path / 'a', tmp_path / 'b')
    assert list(pairs) == ['1']
    assert [line.split(':')[0].rpartition(os.sep)[2] for line in alone] == [
        '1.tiff',
        '2.tif',
        '3.tif',
    ]
    with pytest.raises(ImageError, match='two files, or two folders'):
        find_pairs(tmp_path / 'a', tmp_path / 'b/3.tif')
    with pytest.raises(ImageError, match='absent: no such'):
        find_pairs(tmp_path / 'a', tmp_path / 'absent')
    (tmp_path / 'c').mkdir()
    with pytest.raises(ImageError, match='no two files of one name'):
        find_pairs(tmp_path / 'a', tmp_path / 'c')


def test_another_job_starts_afresh(model, pair, tmp_path):
    with Journal(tmp_path / FOLDER, {'tile': 1}) as journal:
        journal.put_band(0, np.zeros((1, 200, 230), np.uint8))
        with pytest.raises(OSError, match='another process'):
            Journal(tmp_path / FOLDER, {'tile': 1})
    with Journal(tmp_path / FOLDER, {'tile': 1}) as journal:
        assert journal.resumed and journal.has_band(0)
    result = infer_change_raster(model, *pair, tmp_path, TILES)
    assert not any('went on' in notice for notice in result.notices)
    assert pixels(tmp_path / 'change.tif').any()


def test_without_rasterio(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'\[change\]'):
        require_rasterio()


def test_alpha_is_no_band(tmp_path):
    dates = write_pair(tmp_path, 60, 70, count=4, photometric='RGB', alpha='yes')
    with RasterPair(*dates, 3) as pair:
        _, valid = pair.read(0, 0, 60, 70)
    assert not valid.any()  # alpha was never written: transparent
