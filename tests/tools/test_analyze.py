"""tools/analyze.py, tools/benchmark.py and tools/model_table.py: what they print and write."""

import csv
import importlib.util
import subprocess
import sys

import pytest

pytest.importorskip('mmseg', reason='needs the extra seg')

from mamba_dense.apis import speed_table, zoo_table
from mamba_dense.apis.speed import compare

NANO = 'vmamba-nano_upernet_nuclei-128x128'


def load(root, name):
    spec = importlib.util.spec_from_file_location(name, root / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(root, tool, *words):
    command = [sys.executable, root / 'tools' / tool, *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_analyze(root):
    done = call(root, 'analyze.py', NANO, '--shape', '64', '96')
    assert done.returncode == 0, done.stderr
    assert '3x64x96' in done.stdout
    for word in ('backbone.stem', 'backbone.stages.3', 'decode_head', 'total', 'of these scans'):
        assert word in done.stdout
    widths = {len(line) for line in done.stdout.splitlines() if line.endswith('MB')}
    assert len(widths) == 1


def test_analyze_refuses(root):
    done = call(root, 'analyze.py', 'vmamba-tinny')
    assert done.returncode == 1
    assert 'nearest' in done.stderr and 'Traceback' not in done.stderr


def test_speed():
    rounds = []
    on_round = lambda: rounds.append(1)  # noqa: E731
    speeds = compare([NANO, NANO], (32, 32), rounds=2, on_round=on_round, device='cpu')
    assert len(rounds) == 2
    assert all(0 < s.fastest <= s.median <= s.slowest for s in speeds)
    (trained,) = compare([NANO], (32, 64), rounds=1, batch=2, training=True, device='cpu')
    assert trained.median > 0
    with pytest.raises(ValueError, match='rounds=0'):
        compare([NANO], (32, 32), rounds=0)


def test_benchmark(root):
    tool = load(root, 'benchmark')
    assert 'pictures/s' in tool.line(tool.Speed('x', 0.5, 0.4, 0.6), 2)
    assert 'scan backends' in tool.machine('cpu')


def test_the_table_of_speeds(root, tmp_path, monkeypatch, capsys):
    tool = load(root, 'benchmark')
    words = ['--table', 'MambaOut', '--sizes', '33', '64', '--rounds', '2', '--threads', '1']
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *words, '--out', str(tmp_path)])
    assert tool.main() == 0
    rows = list(csv.DictReader((tmp_path / 'speed.csv').open()))
    names = ['Swin-T', 'ResNet-50', 'MambaOut tiny', 'MambaOut femto']
    assert [(row['network'], row['size']) for row in rows] == [
        (name, size) for size in ('33', '64') for name in names
    ]
    for row in rows:
        assert float(row['images_per_second']) > 0
        assert float(row[f'over_{row["network"]}']) == 1 if row['network'] in names[:2] else True
    sizes = {row['network']: int(row['parameters']) for row in rows}
    # Swin-T's trunk and a norm per output; ResNet-50 without its classifier
    assert (sizes['Swin-T'], sizes['ResNet-50']) == (27_520_698, 23_508_032)
    text = (tmp_path / 'speed.md').read_text()
    assert text == capsys.readouterr().out
    assert [line.split(' | ')[0] for line in text.splitlines()[4:]] == [f'| {n}' for n in names]


@pytest.mark.parametrize('words', [[], ['--table', '--', NANO]], ids=str)
def test_networks_or_table(root, words, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *words])
    with pytest.raises(SystemExit):
        load(root, 'benchmark').parse_args()


def test_what_the_table_cannot_time():
    with pytest.raises(ValueError, match=r'MambaOat.*MambaOut'):
        speed_table.entries(['MambaOat'])
    with pytest.raises(ValueError, match='ResNet-50'):
        speed_table.time_table([speed_table.Entry('Swin-T', {})])
    with pytest.raises(ValueError, match='rounds=0'):
        speed_table.time_table(
            [speed_table.Entry(name, cfg) for name, cfg in speed_table.BASELINES.items()],
            rounds=0,
        )


def test_the_table_takes_every_family():
    from tests.backbones.test_backbones import BACKBONES

    assert set(speed_table.families()) == set(BACKBONES)


def test_the_table_of_the_readme_is_up_to_date(root):
    readme = root / 'README.md'
    assert zoo_table.updated(readme) == readme.read_text(), 'run python tools/model_table.py'


def test_insert():
    text = f'a\n{zoo_table.BEGIN}\nold\n{zoo_table.END}\nb\n'
    new = zoo_table.insert(text, 'T')
    assert new == f'a\n{zoo_table.BEGIN}\n\nT\n\n{zoo_table.END}\nb\n'
    assert zoo_table.insert(new, 'T') == new
    with pytest.raises(ValueError, match='has no lines'):
        zoo_table.insert('nothing', 'T')


def test_every_published_flops_figure_is_of_a_model():
    from mamba_dense.apis.models import list_models

    tasks = ('classification', 'segmentation', 'detection')
    known = {name for task in tasks for name in list_models(task)}
    assert set(zoo_table.PUBLISHED_GFLOPS) <= known
