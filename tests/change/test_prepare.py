"""Preparing pairs by the commands a user types: cut, split, converted, checked, trained on."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mamba_dense.change.data_check import folder_problems
from mamba_dense.change.layouts import COVER_PALETTE
from mamba_dense.change.prepare import write_pairs
from mamba_dense.change.scenes import make_scene
from mamba_dense.change.template import write_config
from mamba_dense.engine.files import DataError
from mamba_dense.registry import DATASETS
from tests.tools.training import ROOT, outside


@pytest.fixture(scope='module')
def own(tmp_path_factory):
    """Four scenes as A B label."""
    root = tmp_path_factory.mktemp('own')
    for n in range(4):
        pair = make_scene((9, n), (80, 100))
        files = {'A': pair.pre, 'B': pair.post, 'label': pair.change * 255}
        for folder, array in files.items():
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / folder / f's{n}.png')
    return root


def read(path):
    return np.array(Image.open(path))


def tool(name, *arguments, timeout=100):
    command = [sys.executable, str(ROOT / 'tools' / f'{name}.py'), *map(str, arguments)]
    return subprocess.run(command, env=outside(), capture_output=True, text=True, timeout=timeout)


def test_tiles_hold_every_pixel(own, tmp_path):
    counts = write_pairs(own, tmp_path / 'cut', tile=64, target='changemamba')
    assert counts == {'cut': 16}
    names = (tmp_path / 'cut_list.txt').read_text().split()
    assert len(names) == 16 and names[:2] == ['s0_0_0', 's0_0_1']
    for kind, source in (('T1', 'A'), ('T2', 'B'), ('GT', 'label')):
        whole = read(own / source / 's2.png')
        found = np.zeros_like(whole)
        for row, top in enumerate((0, 16)):
            for column, left in enumerate((0, 36)):
                part = read(tmp_path / 'cut' / kind / f's2_{row}_{column}.png')
                assert part.shape[:2] == (64, 64)
                found[top : top + 64, left : left + 64] = part
        assert np.array_equal(found, whole), kind
    assert list(folder_problems(tmp_path / 'cut', 'changemamba')) == []


def test_splits_are_seeded_and_by_whole_pictures(own, tmp_path):
    counts = write_pairs(own, tmp_path / 'a', tile=64, val_share=0.25, seed=3)
    assert counts == {'train': 12, 'val': 4}
    write_pairs(own, tmp_path / 'b', tile=64, val_share=0.25, seed=3)
    lists = [
        {part: (tmp_path / x / f'{part}_list.txt').read_text() for part in counts} for x in 'ab'
    ]
    assert lists[0] == lists[1]
    pictures = {part: {line[:2] for line in text.split()} for part, text in lists[0].items()}
    assert len(pictures['val']) == 1 and not pictures['val'] & pictures['train']
    others = {write_one(own, tmp_path / f'{seed}', seed) for seed in range(8)}
    assert len(others) > 1


def write_one(own, out, seed):
    write_pairs(own, out, val_share=0.25, seed=seed)
    return (out / 'val_list.txt').read_text()


def test_colours_of_second_become_numbers(tmp_path):
    palette = np.array(COVER_PALETTE, np.uint8)
    pair = make_scene((9, 1), (64, 64))
    covers = {'label1': pair.pre_cover, 'label2': pair.post_cover}
    files = {'im1': pair.pre, 'im2': pair.post, **{k: palette[x] for k, x in covers.items()}}
    for folder, array in files.items():
        (tmp_path / 'raw' / folder).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / 'raw' / folder / 'x.png')
    write_pairs(
        tmp_path / 'raw', tmp_path / 'done', layout='second', task='scd', target='changemamba'
    )
    assert np.array_equal(read(tmp_path / 'done/GT_T1/x.png'), pair.pre_cover)
    assert np.array_equal(read(tmp_path / 'done/GT_T2/x.png'), pair.post_cover)
    assert np.array_equal(read(tmp_path / 'done/GT_CD/x.png'), pair.change * 255)
    for kind, source in (('T1', 'im1'), ('T2', 'im2')):
        copied = (tmp_path / 'done' / kind / 'x.png').read_bytes()
        assert copied == (tmp_path / 'raw' / source / 'x.png').read_bytes()


@pytest.mark.parametrize('tile', [None, 32])
def test_xbd_is_cut_as_its_config_reads_it(tmp_path, tile):
    init_default_scope('mamba_dense')
    pair = make_scene((9, 2), (64, 64), 'disaster')
    for date, image, label in (
        ('pre', pair.pre, pair.building),
        ('post', pair.post, pair.damage),
    ):
        for folder, array, end in (('images', image, ''), ('targets', label, '_target')):
            (tmp_path / 'raw' / folder).mkdir(parents=True, exist_ok=True)
            name = f'flood_03_{date}_disaster{end}.png'
            Image.fromarray(array).save(tmp_path / 'raw' / folder / name)
    options = dict(layout='xbd-targets', task='bda', target='xbd-tiles', tile=tile)
    counts = write_pairs(tmp_path / 'raw', tmp_path / 'train', **options)
    assert counts == {'train': 4 if tile else 1}
    cfg = dict(
        type='mamba_dense.ChangeFolder',
        data_root=str(tmp_path / 'train'),
        layout='xbd-tiles',
        task='bda',
        names=str(tmp_path / 'train_list.txt'),
        pipeline=[dict(type='mamba_dense.LoadDates'), dict(type='mamba_dense.LoadChangeLabels')],
    )
    first = DATASETS.build(cfg)[0]
    side = tile or 64
    assert np.array_equal(first['gt_damage'], pair.damage[:side, :side])
    assert np.array_equal(first['img'][..., 3:], pair.post[:side, :side])


def test_values_of_ones_own(own, tmp_path):
    (tmp_path / 'label').mkdir()
    for folder in ('A', 'B'):
        (tmp_path / folder).symlink_to(own / folder)
    for n in range(4):
        label = np.where(read(own / 'label' / f's{n}.png') > 0, 100, 40).astype(np.uint8)
        Image.fromarray(label).save(tmp_path / 'label' / f's{n}.png')
    with pytest.raises(DataError, match=r'(?s)4 problem.*values \[40, 100\] have no meaning'):
        write_pairs(tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    write_pairs(tmp_path, tmp_path / 'out', values={40: 0, 100: 1})
    assert np.array_equal(read(tmp_path / 'out/label/s1.png'), read(own / 'label' / 's1.png'))
    with pytest.raises(
        ValueError, match=r'values maps to \{40: 2\}; class numbers of bcd are 0, 1'
    ):
        write_pairs(tmp_path, tmp_path / 'again', values={40: 2})


def test_refusals(own, tmp_path):
    write_pairs(own, tmp_path / 'x')
    with pytest.raises(FileExistsError, match='x/A is there already'):
        write_pairs(own, tmp_path / 'x')
    for options, said in (
        ({'tile': 8}, 'tile=8 must be at least 32'),
        ({'val_share': 1.5}, 'val_share=1.5 must lie between 0 and 1'),
        ({'target': 'second', 'task': 'bda'}, "layout='folder' for|layout='second' for task='bda'"),
    ):
        with pytest.raises(ValueError, match=said):
            write_pairs(own, tmp_path / 'y', **options)
    write_config(tmp_path / 'c.py', own_split(own, tmp_path), 'folder', 'bcd')
    with pytest.raises(FileExistsError, match='c.py is there already'):
        write_config(tmp_path / 'c.py', tmp_path / 'split', 'folder', 'bcd')


def own_split(own, folder):
    write_pairs(own, folder / 'split', val_share=0.25)
    return folder / 'split'


@pytest.fixture
def mine(own, tmp_path):
    """A written config and its data."""
    config, data = tmp_path / 'mine.py', tmp_path / 'data'
    assert write_pairs(own, data, val_share=0.25, tile=64) == {'train': 12, 'val': 4}
    write_config(config, data, 'folder', 'bcd')
    return config, data


@pytest.mark.full
def test_training_and_degraded_scores(mine, tmp_path):
    config, _ = mine
    assert Config.fromfile(config).crop_size == (64, 64)
    options = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=2']
    options += ['default_hooks.checkpoint.interval=2', 'randomness.seed=0']
    result = tool('train', config, '--work-dir', tmp_path / 'run', '--cfg-options', *options)
    assert result.returncode == 0, result.stderr
    checkpoint = tmp_path / 'run' / 'iter_2.pth'
    options = ['--work-dir', tmp_path / 'run', '--levels', '2', '4', '--robustness']
    result = tool('test', config, checkpoint, *options)
    assert result.returncode == 0, result.stderr
    assert len((tmp_path / 'run/robustness/robustness.csv').read_text().splitlines()) == 10
    assert (tmp_path / 'run/robustness/robustness.svg').is_file()
    assert '\nshift        4      3 (pixels)' in result.stdout


def test_a_lost_file_is_a_message(mine, tmp_path):
    config, data = mine
    lost = min((data / 'train' / 'B').iterdir())
    lost.unlink()
    result = tool('train', config, '--work-dir', tmp_path / 'again')
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert f'{lost.with_suffix("")}: does not exist' in result.stderr
    assert not (tmp_path / 'again').exists()


def test_commands(own, tmp_path):
    """Convert with a config, then spoil what was written and look for it: every file is named."""
    config = tmp_path / 'mine.py'
    result = tool(
        'prepare_data',
        *('change', own, '--out', tmp_path / 'data', '--val', '0.25', '--config', config),
    )
    assert result.returncode == 0, result.stderr
    assert '3 pairs in train, 1 pairs in val' in result.stdout and config.is_file()
    root = tmp_path / 'data' / 'train'
    for path in (root / 'label').iterdir():
        Image.fromarray(np.full((80, 100), 9, np.uint8)).save(path)
    min((root / 'A').iterdir()).unlink()
    bad = tool('prepare_data', 'change', root, '--check')
    assert bad.returncode == 1 and 'Traceback' not in bad.stderr
    lines = bad.stderr.splitlines()
    assert lines[0] == 'error: 3 problem(s) in the data:' and len(lines) == 4
    assert 'has no partner' in lines[1]
    assert all('values [9] have no meaning' in line for line in lines[2:])
