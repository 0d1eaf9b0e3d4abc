"""Published layouts and encodings as they lie on a disk, and what is said of files that are not."""

import json
import re

import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mamba_dense.change.data_check import folder_problems
from mamba_dense.change.guard import config_problems, guard
from mamba_dense.change.labels import XBD_GRADES, decode, read_polygons
from mamba_dense.change.layouts import COVER_PALETTE
from mamba_dense.engine.files import DataError
from mamba_dense.engine.guards import find_guard
from mamba_dense.registry import DATASETS

SIZE = (20, 30)
LOADING = [dict(type='mamba_dense.LoadDates'), dict(type='mamba_dense.LoadChangeLabels')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mamba_dense')


def save(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if mode is not None:
        image = image.quantize(16) if mode == 'P' else image.convert(mode)
    image.save(path)


def pairs(root, folders=('A', 'B', 'label'), names=('a', 'b')):
    """Two pairs without a fault in a layout of binary changes."""
    for name in names:
        for folder in folders[:2]:
            save(root / folder / f'{name}.png', np.full((*SIZE, 3), 90, np.uint8))
        label = np.zeros(SIZE, np.uint8)
        label[:5] = 255
        save(root / folders[2] / f'{name}.png', label)
    return root


def dataset(root, **more):
    cfg = dict(type='mamba_dense.ChangeFolder', data_root=str(root), pipeline=LOADING)
    return DATASETS.build({**cfg, **more})


@pytest.mark.parametrize(
    ('layout', 'folders'),
    [
        ('sysu-cd', ('time1', 'time2', 'label')),
        ('levir-cd', ('A', 'B', 'label')),
        ('levir-cd-plus', ('A', 'B', 'label')),
        ('whu-cd', ('A', 'B', 'label')),
        ('changemamba', ('T1', 'T2', 'GT')),
    ],
)
def test_binary_data_sets(tmp_path, layout, folders):
    pairs(tmp_path, folders)
    found = dataset(tmp_path, layout=layout)
    assert len(found) == 2 and found[0]['gt_change'].sum() == 5 * 30
    assert list(folder_problems(tmp_path, layout)) == []


@pytest.mark.parametrize('mode', ['RGB', 'P', 'RGBA'])
@pytest.mark.parametrize('unchanged', [(255, 255, 255), (0, 0, 0)])
def test_colours_of_second(tmp_path, mode, unchanged):
    colours = np.array(COVER_PALETTE, np.uint8)
    colours[0] = unchanged
    covers = np.arange(7, dtype=np.uint8)[None].repeat(7, 0)
    for n, label in ((1, covers), (2, covers[:, ::-1])):
        save(tmp_path / f'im{n}' / 'x.png', np.full((7, 7, 3), n, np.uint8))
        save(tmp_path / f'label{n}' / 'x.png', colours[label], mode)
    sample = dataset(tmp_path, layout='second', task='scd')[0]
    assert np.array_equal(sample['gt_pre'], covers)
    assert np.array_equal(sample['gt_post'], covers[:, ::-1])
    assert np.array_equal(sample['gt_change'], covers > 0)
    assert list(folder_problems(tmp_path, 'second', 'scd')) == []
    assert np.array_equal(dataset(tmp_path, layout='second')[0]['gt_change'], covers > 0)


def xbd_file(path, polygons):
    path.parent.mkdir(parents=True, exist_ok=True)
    features = [
        {
            'properties': {'feature_type': 'building', **({'subtype': kind} if kind else {})},
            'wkt': wkt,
        }
        for kind, wkt in polygons
    ]
    size = {'height': SIZE[0], 'width': SIZE[1]}
    path.write_text(json.dumps({'features': {'xy': features, 'lng_lat': []}, 'metadata': size}))


def square(left, top, side, kind=None, hole=''):
    right, bottom = left + side - 1, top + side - 1
    ring = f'({left}.0 {top}.0, {right}.0 {top}.0, {right}.0 {bottom}.0, {left}.0 {bottom}.0)'
    return kind, f'POLYGON ({ring}{hole})'


def test_polygons_of_xbd(tmp_path):
    places = {kind: (6 * n, 1) for n, kind in enumerate(XBD_GRADES)}
    name = 'quake_00000001_{}_disaster'
    for date in ('pre', 'post'):
        save(tmp_path / 'images' / f'{name.format(date)}.png', np.zeros((*SIZE, 3), np.uint8))
        drawn = [
            square(x, y, 4, kind if date == 'post' else None) for kind, (x, y) in places.items()
        ]
        xbd_file(tmp_path / 'labels' / f'{name.format(date)}.json', drawn)
    sample = dataset(tmp_path, layout='xbd-json', task='bda')[0]
    for kind, (x, y) in places.items():
        inside = np.s_[y : y + 4, x : x + 4]
        assert (sample['gt_damage'][inside] == XBD_GRADES[kind]).all(), kind
        assert (sample['gt_building'][inside] == 1).all()
    assert sample['gt_building'].sum() == 5 * 16 == (sample['gt_damage'] > 0).sum()
    ring = tmp_path / 'ring.json'
    xbd_file(ring, [square(2, 2, 12, 'destroyed', ', (5 5, 10 5, 10 10, 5 10)')])
    label = read_polygons(ring)
    assert label[3, 3] == 4 and label[7, 7] == 0
    xbd_file(ring, [square(2, 2, 5, 'singed')])
    with pytest.raises(DataError, match=r"ring\.json: subtype 'singed' .*allowed: no-damage"):
        read_polygons(ring)
    ring.write_text('{"features": {}}')
    with pytest.raises(DataError, match=r'ring\.json: not a label file of xBD'):
        read_polygons(ring)
    ring.write_text('{"features"')
    with pytest.raises(DataError, match=r'ring\.json: not readable as JSON'):
        read_polygons(ring)


def test_targets_and_masks_of_xbd(tmp_path):
    damage = np.arange(5, dtype=np.uint8).repeat(6)[None].repeat(20, 0)
    for date, label in (('pre', np.uint8(damage > 0)), ('post', damage)):
        name = f'fire_07_{date}_disaster'
        save(tmp_path / 'images' / f'{name}.png', np.zeros((*SIZE, 3), np.uint8))
        save(tmp_path / 'targets' / f'{name}_target.png', label)
        save(tmp_path / 'masks' / f'{name}.png', np.stack([label] * 3, axis=2))
    for layout in ('xbd-targets', 'xbd'):
        found = dataset(tmp_path, layout=layout, task='bda')
        assert [info['name'] for info in found.load_data_list()] == ['fire_07']
        assert np.array_equal(found[0]['gt_damage'], damage), layout
        assert np.array_equal(found[0]['gt_building'], damage > 0)


def test_decoding_by_table_and_by_search_agree():
    label = np.random.default_rng(0).choice([0, 3, 255], (9, 11))
    meaning = {0: 2, 3: 1, 255: 255, 70: 4}
    found = [decode(label.astype(kind), meaning, 'x') for kind in (np.uint8, np.int32, np.uint16)]
    assert all(np.array_equal(one, found[0]) for one in found)
    for kind in (np.uint8, np.int32):
        with pytest.raises(
            DataError, match=r'x: values \[9\] have no meaning; allowed: \[0, 3, 70'
        ):
            decode(np.full((2, 2), 9, kind), meaning, 'x')


def spoil_colour(root):
    save(root / 'label' / 'a.png', np.full(SIZE, 7, np.uint8))


def spoil_partner(root):
    (root / 'B' / 'a.png').unlink()


def spoil_first(root):
    (root / 'A' / 'a.png').unlink()


def spoil_size(root):
    save(root / 'B' / 'a.png', np.zeros((10, 30, 3), np.uint8))


def spoil_label_size(root):
    save(root / 'label' / 'a.png', np.zeros((10, 30), np.uint8))


def spoil_bands(root):
    save(root / 'B' / 'a.png', np.zeros(SIZE, np.uint8))


def spoil_bits(root):
    save(root / 'A' / 'a.png', np.zeros(SIZE, np.uint16))


def spoil_bytes(root):
    (root / 'label' / 'a.png').write_bytes(b'no picture')


def spoil_end(root):
    path = root / 'A' / 'a.png'
    path.write_bytes(path.read_bytes()[:40])


SPOILT = {
    spoil_colour: r'label/a\.png: values \[7\] have no meaning; allowed: \[0, 1, 255\]',
    spoil_partner: r'A/a\.png: has no partner \S*B/a',
    spoil_first: r'B/a\.png: has no partner \S*A/a',
    spoil_size: r'B/a\.png has 30x10 pixels, its first date 30x20',
    spoil_label_size: r'label/a\.png has 30x10 pixels, its images 30x20',
    spoil_bands: r'B/a\.png: one band \(mode L\), three of 8 bits are needed; save it as RGB',
    spoil_bits: r'A/a\.png: one band \(mode I;16\), three of 8 bits',
    spoil_bytes: r'label/a\.png: not a readable image',
    spoil_end: r'A/a\.png: not a readable image',
}


@pytest.mark.parametrize('spoil', SPOILT, ids=lambda spoil: spoil.__name__)
def test_every_kind_of_fault_is_one_line(tmp_path, spoil):
    pairs(tmp_path)
    assert list(folder_problems(tmp_path)) == []
    spoil(tmp_path)
    problems = list(folder_problems(tmp_path))
    assert len(problems) == 1 and re.search(SPOILT[spoil], problems[0]), problems
    if spoil is not spoil_first:  # a data set begins at the first date
        cfg = Config(
            dict(
                model={},
                train_dataloader=dict(
                    dataset=dict(type='mamba_dense.ChangeFolder', data_root=str(tmp_path))
                ),
            )
        )
        with pytest.raises(DataError, match=r'/a'):
            guard(cfg)


def test_all_faults_are_listed(tmp_path):
    pairs(tmp_path, names=[f'{n}' for n in range(30)])
    for n in range(0, 30, 2):
        save(tmp_path / 'label' / f'{n}.png', np.full(SIZE, 7, np.uint8))
    (tmp_path / 'B' / '1.png').unlink()
    problems = list(folder_problems(tmp_path))
    assert len(problems) == 16 == len(set(problems))


def test_colours_are_named(tmp_path):
    white = np.full((7, 7, 3), 255, np.uint8)
    for folder in ('im1', 'im2', 'label1', 'label2'):
        save(tmp_path / folder / 'x.png', white)
    odd = white.copy()
    odd[2, 3] = (1, 2, 3)
    save(tmp_path / 'label2' / 'x.png', odd)
    (problem,) = folder_problems(tmp_path, 'second', 'scd')
    assert 'label2/x.png: colours [(1, 2, 3)] have no meaning; allowed: [(0, 0, 0), ' in problem
    save(tmp_path / 'label2' / 'x.png', white[..., 0])
    (problem,) = folder_problems(tmp_path, 'second', 'scd')
    assert 'label2/x.png: one band (mode L)' in problem


def test_empty_folders(tmp_path):
    problems = list(folder_problems(tmp_path / 'nowhere'))
    assert [p.split('nowhere/')[1] for p in problems] == [
        'A: no such folder',
        'B: no such folder',
        'label: no such folder',
    ]
    for folder in ('A', 'B', 'label'):
        (tmp_path / folder).mkdir()
    (problem,) = folder_problems(tmp_path)
    assert 'no pairs; looked for' in problem


def change_config(root, **more):
    loader = dict(dataset=dict(type='mamba_dense.ChangeFolder', data_root=str(root), **more))
    return Config(
        dict(
            default_scope='mamba_dense',
            model=dict(type='mamba_dense.MambaBCD'),
            train_dataloader=loader,
            val_dataloader=loader,
        )
    )


def test_guard_says_what_and_where(tmp_path):
    pairs(tmp_path)
    cfg = change_config(tmp_path)
    assert find_guard(cfg).guard is guard
    guard(cfg)
    lines = list(config_problems(change_config(tmp_path / 'nowhere')))
    assert 'no images' in lines[0] and 'train_dataloader.dataset.data_root=' in lines[1]
    (line,) = config_problems(change_config(tmp_path, names=str(tmp_path / 'list.txt')))
    assert 'list.txt: the list of names cannot be read' in line
    cfg.model.type = 'mamba_dense.MambaSCD'
    (line,) = config_problems(cfg)
    assert "MambaSCD learns from labels of pre, post, which task='bcd' does not have" in line
    (tmp_path / 'B' / 'b.png').unlink()
    (tmp_path / 'label' / 'a.png').unlink()
    with pytest.raises(DataError, match=r'(?s)label/a: does not exist.*B/b: does not exist'):
        guard(change_config(tmp_path))


def test_other_scopes_have_their_own_guards():
    found = find_guard(Config(dict(default_scope='mmseg')))
    assert found.__name__ == 'mamba_dense.segmentation.guard'
    other = dict(train_dataloader=dict(dataset=dict(type='FakeData')))
    assert find_guard(Config(dict(default_scope='mamba_dense', **other))) is None
