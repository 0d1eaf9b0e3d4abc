"""Configs of cases: refused with every problem named before a training starts."""

import pytest
from mmengine.config import Config

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.engine.guards import find_guard
from mamba_dense.medical.guard import config_problems, guard
from mamba_dense.medical.layout import write_splits

from .volumes import image, mask, raw_folder, save, spoil


def config(root, **options):
    dataset = dict(type='mamba_dense.CaseDataset', data_root=str(root), split='train')
    val = {**dataset, 'split': 'val', **options}
    return Config(
        dict(
            default_scope='mamba_dense',
            model=dict(num_classes=3, backbone=dict(in_channels=1)),
            train_dataloader=dict(dataset={**dataset, 'patch_size': (4, 4, 4), **options}),
            val_dataloader=dict(dataset=val),
        )
    )


def test_good_data_passes(tmp_path):
    cfg = config(raw_folder(tmp_path))
    assert find_guard(cfg).__name__ == 'mamba_dense.medical.guard'
    assert guard(cfg) is None


def test_every_problem_at_once(tmp_path):
    expected = spoil(raw_folder(tmp_path, cases=6))
    with pytest.raises(DataError) as caught:
        guard(config(tmp_path))
    assert len(caught.value.problems) == len(expected)
    for start in expected:
        assert any(start in problem for problem in caught.value.problems), start


def test_mixed_spacings_need_one(tmp_path):
    raw_folder(tmp_path)
    save(tmp_path / 'imagesTr' / 'a_0000.nii.gz', image(mask()), (1, 1, 5))
    save(tmp_path / 'labelsTr' / 'a.nii.gz', mask(), (1, 1, 5))
    write_splits(tmp_path, ['a', 'b'], ['c', 'd'])
    (problem,) = config_problems(config(tmp_path))
    assert 'spacing along Z differs from case to case (2 to 5 mm)' in problem
    given = {'preparation': dict(spacing=[2, None, None], axes=[2, 0, 1])}
    assert list(config_problems(config(tmp_path, **given))) == []


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model.num_classes', 2, 'num_classes is 2, .* has 3 classes: background, x, y'),
        ('model.backbone.in_channels', 4, 'in_channels is 4, .* has 1 channels: MRI'),
        ('train_dataloader.dataset.split', 'trian', 'known: train, val, all, test'),
        ('train_dataloader.dataset.fold', 9, 'fold=9: 4 cases are dealt'),
        ('train_dataloader.dataset.preparation', dict(axes=[0, 1]), r'axes=\[0, 1\]'),
        ('train_dataloader.dataset.preparation', dict(spaces=1), "unexpected .* 'spaces'"),
        ('train_dataloader.dataset.metainfo', dict(classes=['a']), 'metainfo names 1 classes'),
        ('train_dataloader.dataset.data_root', 'data/brain', 'samples --name brain'),
        ('train_dataloader.dataset.data_root', 'data/none', 'data_root= points to it'),
        ('val_dataloader.dataset.split', 'test', "split='test' of val_dataloader has no case"),
    ],
)
def test_refusals(tmp_path, monkeypatch, key, value, message):
    monkeypatch.chdir(tmp_path)
    cfg = config(raw_folder(tmp_path))
    cfg.merge_from_dict({key: value})
    with pytest.raises(DataError, match=message):
        guard(cfg)


def test_channels(tmp_path):
    cfg = config(raw_folder(tmp_path, channels=('T1', 'T2')))
    cfg.model.backbone.in_channels = 2
    (first, second) = config_problems(cfg)
    assert 'train_dataloader: preparation.channels has 1 entries' in first
    assert 'val_dataloader: preparation.channels has 1 entries' in second


def test_test_cases_without_masks(tmp_path):
    raw_folder(tmp_path)
    save(tmp_path / 'imagesTs' / 'z_0000.nii.gz', image(mask()))
    cfg = config(tmp_path)
    cfg.val_dataloader.dataset.split = 'test'
    (problem,) = config_problems(cfg)
    assert 'has no masks to score by' in problem
