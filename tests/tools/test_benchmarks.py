"""tools/benchmark_backbones.py and benchmark_tokens.py at sizes of a second, and gpu_check.sh."""

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'


@pytest.fixture
def tool(monkeypatch):
    """Imports a tool as one that lies beside it would."""
    monkeypatch.syspath_prepend(str(TOOLS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in ('benchmark_backbones', 'rounds'):
        if name not in before:
            sys.modules.pop(name, None)


def rows(path):
    with path.open() as handle:
        return list(csv.DictReader(handle))


def test_backbones(tool, tmp_path, capsys):
    module = tool('benchmark_backbones')
    assert module.main(['--sizes', '64', '--rounds', '1', '--out', str(tmp_path)]) == 0
    found = {row['network']: row for row in rows(tmp_path / 'backbones.csv')}
    assert {'VMamba-T', 'ConvNeXt, ours', 'VMamba-T, chunked'} <= set(found)
    assert all(float(row['median_ms']) > 0 for row in found.values())
    assert found['VMamba-T']['ratio'] == '1.0'
    text = (tmp_path / 'profile.txt').read_text()
    assert 'matrix products' in text and 'scans' in text and '1x3x64x64' in text
    assert 'VMamba-T' in capsys.readouterr().out


def test_the_networks_beside_have_the_same_work(tool):
    module = tool('benchmark_backbones')
    x = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        counts = {
            name: module.gmacs(lambda run=run: run(x))
            for name, run in module.networks('cpu').items()
        }
    ratio = counts['ConvNeXt, ours'] / counts['VMamba-T']
    assert 0.97 < ratio < 1.03


def test_turns_are_interleaved_and_the_first_round_does_not_count(tool):
    rounds, order = tool('rounds'), []
    steps = {name: lambda name=name: order.append(name) for name in 'ab'}
    times = rounds.take_turns(steps, 3, 'cpu')
    assert ''.join(order) == 'abababab'
    assert all(time.least <= time.median <= time.most for time in times.values())


def test_tokens_needs_torch_alone(tmp_path):
    """Run where no OpenMMLab package, nor what they bring, can be imported."""
    hidden = ('mmengine', 'mmcv', 'mmseg', 'mmdet', 'safetensors', 'cv2', 'PIL', 'timm')
    code = (
        f'import runpy, sys\nsys.modules.update(dict.fromkeys({hidden}))\n'
        f'sys.path[:0] = [{str(TOOLS)!r}, {str(ROOT)!r}, {str(ROOT / "kernels")!r}]\n'
        f"runpy.run_path({str(TOOLS / 'benchmark_tokens.py')!r}, run_name='__main__')"
    )
    options = ['--size', '32', '--batches', '1', '--rounds', '1', '--device', 'cpu']
    command = [sys.executable, '-c', code, *options, '--out', str(tmp_path / 'tokens.csv')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path / 'tokens.csv')
    assert [row['network'] for row in found] == ['Vim-Ti', 'DeiT-Ti, math', 'DeiT-Ti, flash'] * 2
    assert {row['tokens'] for row in found} == {'4'}


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_gpu_check_without_a_gpu(tmp_path):
    command = [TOOLS / 'gpu_check.sh']
    environment = {'PATH': '/usr/bin:/bin', 'PYTHON': sys.executable, 'OUT': str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert 'no CUDA device is available' in done.stderr
    assert 'no CUDA device is available' in (tmp_path / 'error.txt').read_text()


def test_gpu_check_knows_its_options():
    done = subprocess.run([TOOLS / 'gpu_check.sh', '--fast'], capture_output=True, text=True)
    assert done.returncode == 2 and '--fast is unknown' in done.stderr


@pytest.mark.full
def test_gpu_check_runs_through_on_a_cpu(tmp_path):
    pytest.importorskip('triton')
    environment = {'PATH': '/usr/bin:/bin', 'PYTHON': sys.executable, 'OUT': str(tmp_path)}
    command = [TOOLS / 'gpu_check.sh', '--smoke']
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = ['benchmark.txt', 'comparison.txt', 'machine.txt', 'results.csv', 'tests.txt']
    assert sorted(path.name for path in tmp_path.iterdir()) == [*wanted, 'tokens.csv']
