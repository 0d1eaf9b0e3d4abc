"""Folders of pairs, scenes as a data set, and what happens to both dates on the way."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.registry import init_default_scope
from PIL import Image

from mamba_dense.change.layouts import LAYOUTS
from mamba_dense.engine.files import DataError
from mamba_dense.engine.streams import seeded
from mamba_dense.registry import DATASETS, MODELS, TRANSFORMS

SIZE = (20, 30)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mamba_dense')


def step(kind, **options):
    kind = kind if '.' in kind else f'mamba_dense.{kind}'
    return TRANSFORMS.build(dict(type=kind, **options))


def coordinates(size=SIZE):
    """A sample whose every map says at each pixel where it came from, and of which date."""
    place = np.arange(size[0] * size[1]).reshape(size)
    pixels = np.stack([place, place, place], axis=2)
    return {
        'img': np.concatenate([pixels, pixels + 1000], axis=2).astype(np.int32),
        'img_shape': size,
        'seg_fields': ['gt_change', 'gt_pre', 'gt_post'],
        'gt_change': place.copy(),
        'gt_pre': place.copy(),
        'gt_post': place + 1000,
    }


@pytest.mark.parametrize(
    'name',
    ['QuarterTurn', 'ChangeCrop', 'mmseg.RandomFlip', 'ExchangeDates'],
)
@pytest.mark.parametrize('seed', range(6))
def test_dates_and_labels_move_alike(name, seed):
    options = {
        'ChangeCrop': dict(size=(12, 16)),
        'mmseg.RandomFlip': dict(prob=0.7, direction=['horizontal', 'vertical']),
    }.get(name, {})
    with seeded(seed):
        results = step(name, **options)(coordinates())
    pre, post = results['img'][..., 0], results['img'][..., 3]
    assert np.array_equal(pre % 1000, results['gt_change'])
    assert np.array_equal(post % 1000, results['gt_change'])
    assert np.array_equal(pre, results['gt_pre']) and np.array_equal(post, results['gt_post'])
    assert pre.shape == results['img_shape']


def test_turns_never_leave_a_sample_as_it_was():
    turn = step('QuarterTurn')
    for seed in range(20):
        with seeded(seed):
            results = turn(coordinates((8, 8)))
        assert not np.array_equal(results['gt_change'], coordinates((8, 8))['gt_change'])


def test_dates_are_exchanged_as_often_as_said():
    with seeded(0):
        exchange = step('ExchangeDates', prob=0.25)
        swapped = sum(exchange(coordinates())['img'][0, 0, 0] >= 1000 for _ in range(400))
    assert 75 < swapped < 125
    with pytest.raises(DataError, match='damage'):
        exchange({**coordinates(), 'gt_damage': np.zeros(SIZE)})


def test_crops_avoid_one_label_alone():
    """One corner in sixteen holds something else: ten tries find it nearly always."""
    sample = coordinates((64, 64))
    label = np.zeros((64, 64), int)
    label[:32, :32] = np.arange(32) % 2
    mixed = 0
    for seed in range(50):
        with seeded(seed):
            crop = step('ChangeCrop', size=(32, 32))(dict(sample, gt_change=label.copy()))
        mixed += np.bincount(crop['gt_change'].ravel()).max() < 0.75 * 32 * 32
    assert mixed > 30
    with seeded(0):
        once = step('ChangeCrop', size=(32, 32), tries=1)
        found = [once(dict(sample, gt_change=label.copy()))['gt_change'] for _ in range(50)]
    assert sum(np.bincount(x.ravel()).max() < 768 for x in found) < mixed
    with pytest.raises(ValueError, match='tries=0'):
        step('ChangeCrop', size=(32, 32), tries=0)


def test_small_images_are_padded():
    with seeded(1):
        results = step('ChangeCrop', size=(32, 24))(coordinates())
    assert results['img'].shape == (32, 24, 6)
    border = ~results['img'].any(axis=2)  # no place of the second date is called 0
    assert border.sum() == 12 * 24
    assert (results['gt_change'][border] == 255).all()
    assert np.array_equal(results['img'][~border][:, 0], results['gt_change'][~border])


def test_colours_are_drawn_for_each_date():
    image = np.full((8, 8, 6), 120, np.uint8)
    distort = step('DatesApart', transform=dict(type='mmseg.PhotoMetricDistortion'))
    with seeded(3):
        found = [distort({'img': image.copy()})['img'] for _ in range(8)]
    assert any(not np.array_equal(x[..., :3], x[..., 3:]) for x in found)


def write(root, layout, names=('a', 'b')):
    for n, name in enumerate(names):
        for pattern in (layout.pre, layout.post):
            image = np.full((*SIZE, 3), n, np.uint8)
            save(root / pattern.format(name=name), image)
        for label, pattern in layout.labels.items():
            value = max(layout.encodings[label]) if n == 0 else 1
            save(root / pattern.format(name=name), np.full(SIZE, value, np.uint8))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path if path.suffix else path.with_suffix('.png')
    Image.fromarray(array).save(path)


LOADING = [dict(type='mamba_dense.LoadDates'), dict(type='mamba_dense.LoadChangeLabels')]
# colours, polygons and tiles: below and in test_layouts.py
OWN = ('second', 'xbd-json', 'xbd-tiles')
CASES = [(name, task) for name, tasks in LAYOUTS.items() if name not in OWN for task in tasks]


@pytest.mark.parametrize(('layout', 'task'), CASES)
def test_layouts(tmp_path, layout, task):
    write(tmp_path, LAYOUTS[layout][task])
    (tmp_path / 'list.txt').write_text('b.png\na\n')
    cfg = dict(
        type='mamba_dense.ChangeFolder',
        data_root=str(tmp_path),
        layout=layout,
        task=task,
        names=str(tmp_path / 'list.txt') if layout == 'xbd' else None,
        pipeline=[*LOADING, dict(type='mamba_dense.PackChange')],
    )
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 2
    by_name = {dataset.get_data_info(n)['name']: dataset[n] for n in range(2)}
    packed = by_name['b']
    assert packed['inputs'].shape == (6, *SIZE) and (packed['inputs'] == 1).all()
    for label, encoding in LAYOUTS[layout][task].encodings.items():
        first = by_name['a']['data_samples'].get(f'gt_{label}').data
        assert first.shape == (1, *SIZE) and (first == encoding[max(encoding)]).all()
    assert packed['data_samples'].ori_shape == SIZE


def test_tiles_of_xbd(tmp_path):
    for kind in ('images', 'masks'):
        for date in ('pre', 'post'):
            pixels = np.ones((*SIZE, 3) if kind == 'images' else SIZE, np.uint8)
            save(tmp_path / kind / f'storm_07_{date}_disaster_1_0.png', pixels)
    (tmp_path / 'list.txt').write_text('storm_07_1_0\n')
    dataset = DATASETS.build(
        dict(
            type='mamba_dense.ChangeFolder',
            data_root=str(tmp_path),
            layout='xbd-tiles',
            task='bda',
            names=str(tmp_path / 'list.txt'),
            pipeline=LOADING,
        )
    )
    assert dataset[0]['img'].shape == (*SIZE, 6) and (dataset[0]['gt_damage'] == 1).all()
    unlisted = folder(tmp_path, layout='xbd-tiles', task='bda')
    assert unlisted.get_data_info(0)['name'] == 'storm_07_1_0'


def folder(root, **more):
    options = {'data_root': str(root), 'pipeline': LOADING, **more}
    return DATASETS.build(dict(type='mamba_dense.ChangeFolder', **options))


def test_every_missing_file_is_named(tmp_path):
    write(tmp_path, LAYOUTS['folder']['bcd'])
    (tmp_path / 'B' / 'a.png').unlink()
    (tmp_path / 'label' / 'b.png').unlink()
    with pytest.raises(DataError, match=r'(?s)2 problem.*B/a: does not.*label/b: does not'):
        folder(tmp_path)
    save(tmp_path / 'B' / 'a.png', np.zeros((*SIZE, 3), np.uint8))
    assert 'gt_change' not in folder(tmp_path, test_mode=True)[1]
    with pytest.raises(DataError, match='no images'):
        folder(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match=r"layout='x' for task='bcd' is not known; known: folder"):
        folder(tmp_path, layout='x')
    with pytest.raises(ValueError, match="task='xcd' is not known; known: bcd, scd, bda"):
        folder(tmp_path, task='xcd')


def test_sizes_and_values_are_looked_at(tmp_path):
    write(tmp_path, LAYOUTS['folder']['bcd'])
    save(tmp_path / 'B' / 'a.png', np.zeros((10, 30, 3), np.uint8))
    with pytest.raises(DataError, match=r'A/a\.png has 30x20 pixels, .*B/a\.png 30x10'):
        folder(tmp_path)[0]
    save(tmp_path / 'label' / 'b.png', np.full(SIZE, 7, np.uint8))
    with pytest.raises(DataError, match=r'b\.png: values \[7\] have no meaning; .*\[0, 1, 255\]'):
        folder(tmp_path)[1]
    save(tmp_path / 'label' / 'b.png', np.zeros((5, 30), np.uint8))
    with pytest.raises(DataError, match=r'b\.png has 30x5 pixels, its images 30x20'):
        folder(tmp_path)[1]


@pytest.mark.parametrize('task', ['bcd', 'scd', 'bda'])
def test_scenes_are_a_data_set(task):
    cfg = dict(type='mamba_dense.ChangeScenes', task=task, length=3, size=(48, 64))
    pack = [dict(type='mamba_dense.PackChange')]
    train, val = (DATASETS.build({**cfg, 'seed': seed, 'pipeline': pack}) for seed in (1, 2))
    assert len(train) == 3
    first = train[0]
    assert torch.equal(first['inputs'], train[0]['inputs'])
    assert not torch.equal(first['inputs'], val[0]['inputs'])
    labels = {'bcd': 1, 'scd': 3, 'bda': 2}[task]
    assert sum(key.startswith('gt_') for key in first['data_samples'].keys()) == labels
    with pytest.raises(IndexError):
        train[3]


def test_kept_scenes_are_not_changed_by_a_pipeline():
    turn = [dict(type='mamba_dense.QuarterTurn'), dict(type='mamba_dense.ExchangeDates', prob=1.0)]
    dataset = DATASETS.build(
        dict(type='mamba_dense.ChangeScenes', task='scd', length=1, size=(48, 48), pipeline=turn)
    )
    before = {key: x.copy() for key, x in dataset.get_data_info(0).items() if key[:2] == 'gt'}
    dataset[0]
    after = dataset.get_data_info(0)
    assert all(np.array_equal(x, after[key]) for key, x in before.items())


def test_batches_are_normalised_and_padded():
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    preprocessor = MODELS.build(
        dict(type='mamba_dense.ChangePreprocessor', mean=(1, 2, 3), std=(1, 2, 4), size_divisor=8)
    )
    images = [torch.full((6, 10, 12), 5), torch.full((6, 9, 7), 5)]
    samples = [SegDataSample(gt_change=PixelData(data=torch.ones(1, *x.shape[1:]))) for x in images]
    data = preprocessor(dict(inputs=images, data_samples=samples), training=True)
    assert data['inputs'].shape == (2, 6, 16, 16)
    assert data['inputs'][0, :, 0, 0].tolist() == [4.0, 1.5, 0.5] * 2
    assert not data['inputs'][1, :, 9:].any() and not data['inputs'][1, :, :, 7:].any()
    label = data['data_samples'][1].gt_change.data
    assert label.shape == (1, 16, 16) and (label[0, :9, :7] == 1).all()
    assert (label == 255).sum() == 256 - 63
    assert data['data_samples'][1].padding_size == (0, 9, 0, 7)
    with pytest.raises(ValueError, match='3 for each date'):
        preprocessor(dict(inputs=[torch.zeros(3, 8, 8)]))
