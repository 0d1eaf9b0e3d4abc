"""Memory over rasters: that of a few tiles, however large they are."""

import json
import subprocess
import sys

import pytest

pytest.importorskip('mmseg', reason='needs the extra change')
pytest.importorskip('rasterio', reason='needs the extra change')

from .rasters import tiny_network, write_pair

# a process of its own predicts a small pair, then the one that is measured
MEASURE = """
import json, resource, sys
from mamba_dense.apis import RasterOptions, infer_change_raster, init_model
config, checkpoint, small, large, out, tile = sys.argv[1:]
model = init_model(config, checkpoint, 'cpu')
peaks = []
for folder in (small, large):
    done = infer_change_raster(
        model, folder + '/a.tif', folder + '/b.tif', out + '/' + str(len(peaks)),
        RasterOptions(tile=int(tile), overlap=32),
    )
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps({'peaks': peaks, 'pixels': sum(int(row['pixels']) for row in done.table)}))
"""


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Config and checkpoint."""
    return tiny_network(tmp_path_factory.mktemp('network'))


def measure(network, folder, side, tile):
    """Peak memory (bytes) after a small pair and after one of `side` squared pixels."""
    small, large = folder / 'small', folder / 'large'
    for place, size in ((small, 300), (large, side)):
        place.mkdir()
        write_pair(place, size, size)
    call = [sys.executable, '-c', MEASURE, *network, small, large, folder / 'out', str(tile)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found['pixels'] == side**2
    print(f'peak memory in MB: {[round(peak / 1e6) for peak in found["peaks"]]}')
    return found['peaks']


def test_memory_does_not_grow_with_the_raster(network, tmp_path):
    small, large = measure(network, tmp_path, 2000, 256)
    # the dates, their scores and one more copy would take 120 MB
    assert large - small < 64e6


@pytest.mark.full
@pytest.mark.timeout(3000)
def test_memory_of_ten_thousand_squared(network, tmp_path):
    small, large = measure(network, tmp_path, 10000, 512)
    assert large < 3e9
    assert large - small < 300e6  # of which the cache of GDAL may take 134 MB
