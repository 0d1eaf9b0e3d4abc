"""Long runs over rasters: killed and started again, in bounded memory, by command."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('mmseg', reason='needs the extra change')
pytest.importorskip('rasterio', reason='needs the extra change')

from mamba_dense.apis import RasterOptions, infer_change_raster, init_model
from mamba_dense.apis.raster_change import FOLDER

from .rasters import tiny_network, write_pair

RESULTS = ('change.tif', 'change_probability.tif', 'changes.geojson', 'statistics.csv')
OPTIONS = RasterOptions(tile=64, overlap=16, probabilities=True)
WORDS = ('--tile', '64', '--overlap', '16', '--probabilities')

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


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp('pair'), 460, 420, tiled=False)


@pytest.fixture(scope='module')
def unbroken(network, pair, tmp_path_factory):
    """Bytes of the results of an unbroken run in this process."""
    out = tmp_path_factory.mktemp('unbroken')
    infer_change_raster(init_model(*network, 'cpu'), *pair, out, OPTIONS)
    return contents(out)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


def command(root, network, *words):
    config, checkpoint = network
    call = [sys.executable, root / 'tools/infer.py', '--model', config, '--checkpoint', checkpoint]
    return [*call, '--device', 'cpu', *words]


def test_killed_in_the_middle(root, network, pair, unbroken, tmp_path):
    out, seen = tmp_path / 'out', tmp_path / 'out' / FOLDER
    process = subprocess.Popen(
        command(root, network, *pair, '--out', out, *WORDS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if (seen / 'band_2.npy').is_file() and list(seen.glob('tile_3_*.npy')):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()
    assert process.returncode == -signal.SIGKILL  # it did not get to its end
    assert not any((out / name).exists() for name in RESULTS)
    # a file that a write left half done is not taken for a result
    (seen / '.tile_5_5.npy.1-0000.part').write_bytes(b'half')
    steps = []
    done = infer_change_raster(
        init_model(*network, 'cpu'), *pair, out, OPTIONS, lambda at, total: steps.append(at)
    )
    assert any('went on' in notice for notice in done.notices)
    assert steps[0] > 20 and steps[-1] == 90  # of 10 x 9 tiles
    assert contents(out) == unbroken
    assert sorted(os.listdir(out)) == sorted(RESULTS)


@pytest.mark.parametrize('after', [0, 1, 30, 80])
def test_stopped_anywhere(network, pair, unbroken, tmp_path, after):
    model = init_model(*network, 'cpu')

    def stop(done, total):
        if done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        infer_change_raster(model, *pair, tmp_path, OPTIONS, stop)
    infer_change_raster(model, *pair, tmp_path, OPTIONS)
    assert contents(tmp_path) == unbroken


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


def test_command_over_folders(root, network, pair, tmp_path):
    for side, path in zip(('before', 'after'), pair):
        (tmp_path / side).mkdir()
        (tmp_path / side / 'one.tif').write_bytes(path.read_bytes())
        (tmp_path / side / 'damaged.tif').write_bytes(b'no raster')
    (tmp_path / 'after/lonely.tif').touch()
    words = (tmp_path / 'before', tmp_path / 'after', '--out', tmp_path / 'out')
    done = subprocess.run(command(root, network, *words), capture_output=True, text=True)
    assert done.returncode == 1
    assert 'one.tif' in done.stdout and 'regions' in done.stdout
    assert '2 failed:' in done.stderr and 'Traceback' not in done.stderr
    assert 'lonely.tif: has no partner' in done.stderr
    assert 'damaged.tif: cannot be read as a raster' in done.stderr
    assert (tmp_path / 'out/one/change.tif').is_file()
