"""The launch table: which row serves, what a broken file does, how the search finds a row."""

import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mamba_kernels import launch_table
from mamba_kernels.launch_table import DEFAULT, Launch

BENCHMARKS = Path(__file__).resolve().parents[2] / 'kernels' / 'benchmarks'
GPU = 'a GPU'
ROW = Launch((64, 32), warps=2, parallel=400, fill=3000, shortest=256)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The table's file, in a cache of this test's own."""
    monkeypatch.setenv('MAMBA_KERNELS_CACHE', str(tmp_path))
    launch_table._measured.cache_clear()
    yield launch_table.path()
    launch_table._measured.cache_clear()


@pytest.fixture(scope='module')
def tune():
    spec = importlib.util.spec_from_file_location('tune_of_kernels', BENCHMARKS / 'tune.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize('state', DEFAULT)
def test_a_cold_call_takes_the_default(file, state):
    assert not file.exists()
    assert launch_table.find(GPU, state) == DEFAULT[state]


def test_a_measured_row_serves_its_gpu_and_state_alone(file):
    launch_table.write(file, {(GPU, 16): ROW})
    launch_table.write(file, {(GPU, 1): Launch((8,)), ('another', 16): Launch((16,))})
    assert launch_table.find(GPU, 16) == ROW
    assert launch_table.find(GPU, 1) == Launch((8,))
    assert launch_table.find('another', 1) == DEFAULT[1]
    launch_table.write(file, {(GPU, 16): Launch((8,))})
    assert launch_table.find(GPU, 16) == Launch((8,))
    assert len(launch_table.read(file)) == 3
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize('text', ['', '{', '[1]', '[{"gpu": "a GPU", "state": 1}]'])
def test_a_broken_file_is_said_once_and_the_default_serves(file, text):
    file.write_text(text)
    with pytest.warns(RuntimeWarning, match='launch_table.json is no launch table.*--tune'):
        assert launch_table.find(GPU, 16) == DEFAULT[16]
    assert launch_table.find(GPU, 16) == DEFAULT[16]  # a second warning would be an error here
    with pytest.raises(ValueError, match='remove it'):
        launch_table.write(file, {(GPU, 16): ROW})
    assert file.read_text() == text


def test_a_forced_launch_holds_within_its_block(file):
    with launch_table.use(ROW):
        assert launch_table.find(GPU, 64) == ROW
    assert launch_table.find(GPU, 64) == DEFAULT[64]


def test_the_search_finds_the_best_of_separate_fields(tune):
    asked = []

    def cost(launch):
        asked.append(launch)
        return 10 - (launch.blocks == (64,)) - (launch.warps == 2) - (launch.fill == 3000)

    best, least = tune.search(DEFAULT[1], cost)
    assert (best.blocks, best.warps, best.fill) == ((64,), 2, 3000) and least == 7
    assert (best.parallel, best.shortest) == (DEFAULT[1].parallel, DEFAULT[1].shortest)
    assert len(asked) == len(set(asked)) <= 1 + sum(len(v) for v in tune.CHOICES.values())


def test_noise_moves_nothing(tune):
    best, _ = tune.search(DEFAULT[16], lambda launch: 1 - 0.01 * (launch.warps == 2))
    assert best == DEFAULT[16]


def test_tuning_writes_what_gained_and_leaves_out_what_fails(tune, file):
    cases = [SimpleNamespace(state=state) for state in (13, 16, 1)]

    def milliseconds(case):
        launch = launch_table.find(GPU, tune.padded(case.state))  # the one that is forced
        if launch.warps == 4:
            raise RuntimeError('out of registers')
        if launch.shortest == 512:
            return math.inf
        return 2.0 if case.state > 1 and launch.blocks == (16,) else 3.0

    said = []
    found = tune.tune(cases, milliseconds, GPU, file, say=said.append)
    assert found == {(GPU, 16): Launch((16,))} == launch_table.read(file)
    assert len(said) == 2 and said[0].startswith('state 1: 1.00')
    assert launch_table.find(GPU, 16) == Launch((16,))


def test_a_default_that_fails_is_not_hidden(tune, file):
    def fails(_case):
        raise RuntimeError('no such device')

    with pytest.raises(RuntimeError, match='no such device'):
        tune.tune([SimpleNamespace(state=1)], fails, GPU, file)
    assert not file.exists()
