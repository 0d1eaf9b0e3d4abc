"""Degraded pairs, their scores level by level, and albumentations under one draw."""

import csv
from argparse import Namespace
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mamba_dense.apis import robustness_report
from mamba_dense.change.degrade import DEGRADATIONS
from mamba_dense.change.robustness import CLEAN, Row, evaluate_degraded
from mamba_dense.change.scenes import make_scene
from mamba_dense.engine.streams import StreamDataset, StreamIndex, seeded
from mamba_dense.registry import MODELS, TRANSFORMS


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mamba_dense')


def step(name, **options):
    return TRANSFORMS.build(dict(type=f'mamba_dense.{name}', **options))


@pytest.fixture(scope='module')
def pair():
    scene = make_scene((9, 0), (64, 80))
    return np.concatenate([scene.pre, scene.post], axis=2), scene.change


def damage(pair, kind, level, seed=0, name='x'):
    before = pair[0].copy()
    found = step('Degrade', kind=kind, level=level, seed=seed)({'img': before, 'name': name})['img']
    assert found.shape == before.shape and found.dtype == np.uint8
    assert np.array_equal(before, pair[0])  # scenes are kept in memory
    return found


def gap(pair, found, date):
    half = np.s_[..., 3 * date : 3 * date + 3]
    return np.abs(found[half].astype(float) - pair[0][half])[8:-8, 8:-8].mean()


@pytest.mark.parametrize('kind', DEGRADATIONS)
def test_levels_rise(pair, kind):
    count = len(DEGRADATIONS[kind].strengths)
    gaps = [gap(pair, damage(pair, kind, level), 1) for level in range(count + 1)]
    assert gaps[0] == 0 and (np.diff(gaps) > 0).all(), gaps
    assert (gap(pair, damage(pair, kind, count), 0) > 0) == (kind != 'shift')


@pytest.mark.parametrize('kind', ['noise', 'shift'])
def test_seed_and_name_decide(pair, kind):
    first = damage(pair, kind, 3)
    torch.rand(3), np.random.rand(3)
    assert np.array_equal(first, damage(pair, kind, 3))
    assert not np.array_equal(first, damage(pair, kind, 3, seed=1))
    assert not np.array_equal(first, damage(pair, kind, 3, name='y'))


def test_noise_and_shift_are_what_they_say(pair):
    grey = (np.full((64, 64, 6), 128, np.uint8), None)
    found = damage(grey, 'noise', 4).astype(float)
    assert found.std() == pytest.approx(25, rel=0.03) and abs(found.mean() - 128) < 1
    noise = found - 128
    assert abs((noise[..., :3] * noise[..., 3:]).mean()) < 20  # of 625, were it the same draw
    dot = np.zeros((41, 41, 6), np.uint8)
    dot[20, 20] = 255
    moved = damage((dot, None), 'shift', 4)[..., 3].astype(float)
    rows, columns = np.mgrid[:41, :41]
    at = [(moved * axis).sum() / moved.sum() - 20 for axis in (rows, columns)]
    assert np.hypot(*at) == pytest.approx(3.0, abs=0.1)


def test_unknown_kinds_and_levels():
    with pytest.raises(
        ValueError, match="kind='fog' is not known; known: blur, noise, jpeg, shift"
    ):
        step('Degrade', kind='fog', level=1)
    with pytest.raises(ValueError, match=r'level=6 of blur is not one of 0 \(untouched\) to 5'):
        step('Degrade', kind='blur', level=6)


NETWORK = dict(
    type='mamba_dense.MambaBCD',
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(type='mamba_dense.VMamba', arch='nano'),
    decode_head=dict(channels=16),
)


def small_config(folder):
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mamba_dense.ChangeScenes',
            task='bcd',
            length=2,
            size=(64, 64),
            pipeline=[dict(type='mamba_dense.PackChange')],
        ),
    )
    return Config(
        dict(
            default_scope='mamba_dense',
            work_dir=str(folder),
            model=NETWORK,
            test_dataloader=loader,
            test_evaluator=dict(type='mamba_dense.BinaryChangeMetric'),
            test_cfg=dict(type='TestLoop'),
            randomness=dict(seed=0),
        )
    )


def test_scores_under_degradation(tmp_path):
    torch.manual_seed(0)
    torch.save(MODELS.build(NETWORK).state_dict(), tmp_path / 'w.pth')

    def rows(seed=0):
        return evaluate_degraded(
            small_config(tmp_path),
            str(tmp_path / 'w.pth'),
            kinds=('noise', 'shift'),
            levels=(1, 5),
            seed=seed,
        )

    found = rows()
    assert [(row.kind, row.level, row.strength) for row in found] == [
        (CLEAN, 0, None),
        ('noise', 1, 5.0),
        ('noise', 5, 40.0),
        ('shift', 1, 0.5),
        ('shift', 5, 5.0),
    ]
    assert len({row.scores['change/oa'] for row in found}) > 2
    assert found == rows()
    again = rows(seed=1)
    assert again[0] == found[0] and again != found
    with pytest.raises(ValueError, match='levels count from 1'):
        evaluate_degraded(small_config(tmp_path), 'w.pth', levels=(0,))


def test_table_and_curves(tmp_path):
    scores = {'change/iou': 0.5, 'change/f1': 0.75}
    rows = [Row(CLEAN, 0, None, scores)]
    for kind, degradation in DEGRADATIONS.items():
        for level, strong in enumerate(degradation.strengths, 1):
            worse = {name: value / (1 + level) for name, value in scores.items()}
            rows.append(Row(kind, level, strong, worse))
    paths = robustness_report.write_robustness(rows, tmp_path / 'r', 'tiny')
    table = list(csv.DictReader(paths[0].open()))
    assert len(table) == 21 and table[0]['strength'] == ''
    assert table[3]['degradation'] == 'blur' and float(table[3]['change/f1']) == 0.1875
    text = paths[1].read_text()
    assert text.count('<polyline') == 4 and 'tiny: change/f1 under degradation' in text
    assert 'var(--' not in text
    lines = robustness_report.text_table(rows).splitlines()
    assert len(lines) == 22 and lines[2].split()[:3] == ['blur', '1', '0.5']


# -- albumentations --


def coordinates(size=(24, 24)):
    place = np.arange(size[0] * size[1], dtype=np.float32).reshape(size) / 1000
    image = np.stack([place] * 6, axis=2)
    return {
        'img': image,
        'img_shape': size,
        'seg_fields': ['gt_pre', 'gt_post'],
        'gt_pre': np.arange(size[0] * size[1]).reshape(size).astype(np.int32) % 251,
        'gt_post': np.arange(size[0] * size[1]).reshape(size).astype(np.int32) % 251,
    }


SPATIAL = [
    dict(type='RandomRotate90', p=0.8),
    dict(type='OneOf', transforms=[dict(type='HorizontalFlip', p=1), dict(type='Transpose', p=1)]),
    dict(type='RandomCrop', height=16, width=16),
]


@pytest.fixture(scope='module')
def albumentations():
    return pytest.importorskip('albumentations', reason='needs the extra change')


@pytest.mark.parametrize('seed', range(6))
def test_one_draw_for_both_dates_and_all_labels(albumentations, seed):
    with seeded(seed):
        found = step('PairedAlbumentations', transforms=SPATIAL)(coordinates())
    pre, post = found['img'][..., 0], found['img'][..., 3]
    assert found['img_shape'] == (16, 16) == pre.shape and np.array_equal(pre, post)
    place = np.round(pre * 1000).astype(int) % 251
    assert np.array_equal(place, found['gt_pre']) and np.array_equal(place, found['gt_post'])


def test_samples_are_drawn_from_their_seed(albumentations):
    paired = step('PairedAlbumentations', transforms=SPATIAL)

    def run(seed, transform=paired):
        with seeded(0, seed):
            return transform(coordinates())['img']

    first = [run(seed) for seed in range(12)]
    fresh = step('PairedAlbumentations', transforms=SPATIAL)
    assert all(np.array_equal(run(n, fresh), first[n]) for n in reversed(range(12)))
    assert len({image.tobytes() for image in first}) > 6
    with seeded(0):  # and within one stream they differ
        assert len({paired(coordinates())['img'].tobytes() for _ in range(12)}) > 6


class Stream(torch.utils.data.Dataset):
    """Eight times the same picture, through albumentations."""

    def __init__(self):
        steps = [*SPATIAL, dict(type='GaussNoise', p=1.0)]
        self.paired = step('PairedAlbumentations', transforms=steps)

    def __len__(self):
        return 8

    def __getitem__(self, _index):
        return self.paired(coordinates())['img']


def test_workers_change_nothing(albumentations):
    """Albumentations seeds its workers by itself; ours must not depend on them."""
    data = StreamDataset(Stream(), seed=5)
    order = [StreamIndex(n, n) for n in range(8)]
    loaders = (DataLoader(data, sampler=order, num_workers=count) for count in (0, 2))
    alone, shared = (torch.cat(list(loader)) for loader in loaders)
    assert torch.equal(alone, shared) and not torch.equal(alone[0], alone[1])


def test_what_leaves_the_picture_counts_nowhere(albumentations, pair):
    image, label = pair
    turn = [dict(type='Affine', rotate=(30, 30), p=1.0)]
    sample = {'img': image, 'seg_fields': ['gt_change'], 'gt_change': label}
    found = step('PairedAlbumentations', transforms=turn)(dict(sample))
    corners = found['gt_change'][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all() and set(np.unique(found['gt_change'])) <= {0, 1, 255}
    kept = [{**turn[0], 'fill_mask': 0}]
    found = step('PairedAlbumentations', transforms=kept)(dict(sample))
    assert 255 not in found['gt_change']


def test_wrong_names_are_refused(albumentations):
    with pytest.raises(ValueError, match="type='Rotato' is no transform of albumentations"):
        step('PairedAlbumentations', transforms=[dict(type='Rotato')])
    with pytest.raises(ValueError, match='Affine has no argument turn; allowed: scale, '):
        step('PairedAlbumentations', transforms=[dict(type='Affine', turn=3)])


def test_the_command_knows_every_kind(root):
    spec = spec_from_file_location('test_tool', root / 'tools' / 'test.py')
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tuple(DEGRADATIONS) == tool.DEGRADATIONS
    args = Namespace(tta=False, robustness=[], levels=[1])
    with pytest.raises(ValueError, match='it is for configs of change detection'):
        tool.degrade(Config(dict(default_scope='mmseg')), args)
    args.tta = True
    with pytest.raises(ValueError, match='--robustness and --tta exclude each other'):
        tool.degrade(small_config(root), args)
