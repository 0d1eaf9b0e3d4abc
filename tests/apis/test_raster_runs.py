"""Long runs over rasters: killed and started again, by command."""

import os
import runpy
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
    for name in RESULTS:
        (out / f'.{name}.1-0000.part').write_bytes(b'half')
    steps = []
    done = infer_change_raster(
        init_model(*network, 'cpu'), *pair, out, OPTIONS, lambda at, total: steps.append(at)
    )
    assert any('went on' in notice for notice in done.notices)
    assert steps[0] > 20 and steps[-1] == 90  # of 10 x 9 tiles
    assert contents(out) == unbroken
    assert sorted(os.listdir(out)) == sorted(RESULTS)


@pytest.mark.parametrize('after', [0, 40, 89])
def test_stopped_anywhere(network, pair, unbroken, tmp_path, after):
    model = init_model(*network, 'cpu')

    def stop(done, total):
        if done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        infer_change_raster(model, *pair, tmp_path, OPTIONS, stop)
    infer_change_raster(model, *pair, tmp_path, OPTIONS)
    assert contents(tmp_path) == unbroken


@pytest.fixture
def infer(root, monkeypatch, capsys):
    """tools/infer.py in this process: exit status and what it wrote to standard error."""

    def call(*words):
        monkeypatch.setattr(sys, 'argv', ['infer.py', *map(str, words)])
        tool = runpy.run_path(str(root / 'tools/infer.py'))
        return tool['main'](), capsys.readouterr().err

    return call


def test_stopped_while_the_results_are_written(network, pair, unbroken, tmp_path, monkeypatch):
    model = init_model(*network, 'cpu')
    with monkeypatch.context() as patch, pytest.raises(OSError, match='full'):

        def full(*_words):
            raise OSError('the disk is full')

        patch.setattr('mamba_dense.apis.raster_change.write_geojson', full)
        infer_change_raster(model, *pair, tmp_path, OPTIONS)
    steps = []
    infer_change_raster(model, *pair, tmp_path, OPTIONS, lambda at, _total: steps.append(at))
    assert not steps  # nothing is predicted again
    assert contents(tmp_path) == unbroken


def test_command_refusals(infer, network, pair, tmp_path):
    config, checkpoint = network
    change = ('--model', config, '--checkpoint', checkpoint, '--out', tmp_path / 'out')
    status, text = infer(pair[0], *change)
    assert status == 1 and 'a.tif has no partner' in text and 'BEFORE AFTER' in text
    status, text = infer(pair[0], pair[1].with_name('absent.tif'), *change)
    assert status == 1 and 'absent.tif: no such file' in text
    status, text = infer(*pair, *change, '--bands', '1', '2')
    assert status == 1 and 'bands=[1, 2] must be 3 numbers from 1 to 3' in text
    status, text = infer(*pair, '--model', 'vmamba-nano_upernet_nuclei-128x128')
    assert status == 1 and 'takes one picture or folder' in text
    with pytest.raises(SystemExit):
        infer(*pair, pair[0], *change)


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
