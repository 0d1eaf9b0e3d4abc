"""CaseDataset: patches, whole cases, cache, and randomness that a resumed run repeats."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.engine.streams import StreamDataset, StreamIndex
from mamba_dense.engine.train import run, settle
from mamba_dense.medical.cases import CaseDataset
from mamba_dense.medical.layout import write_splits
from mamba_dense.medical.patches import PLACES, draw_corner, patch_at, places

from .volumes import CLASSES, raw_folder

SPACING = (1.0, 1.5, 2.0)
SHAPE = (12, 14, 10)

FLIP = dict(type='monai.transforms.RandFlipd', keys=['image', 'label'], prob=0.5, spatial_axis=0)
NOISE = dict(type='monai.transforms.RandGaussianNoised', keys='image', prob=0.9, std=0.1)
BIAS = dict(type='monai.transforms.RandBiasFieldd', keys='image', prob=0.5)
PIPELINE = [FLIP, NOISE, BIAS]


@pytest.fixture
def folder(tmp_path):
    root = raw_folder(tmp_path / 'raw', cases=3, spacing=SPACING, shape=SHAPE)
    write_splits(root, ['a', 'b'], ['c'])
    return root


def dataset(folder, **options):
    return CaseDataset(folder, **{'patch_size': (8, 6, 4), 'pipeline': PIPELINE, **options})


class TestPatches:
    def test_places_are_voxels_of_each_class(self):
        label = np.zeros((30, 30, 30), np.uint8)
        label[:25], label[29, 29, 29] = 2, 5
        two, five = places(label)
        assert len(two) == PLACES and (label[tuple(two.T)] == 2).all()
        assert len(np.unique(two, axis=0)) == PLACES
        assert five.tolist() == [[29, 29, 29]]
        assert places(np.zeros((2, 2, 2), np.uint8)) == ()

    def test_a_third_lies_around_the_foreground(self):
        voxel = (np.array([[40, 3, 9]]),)
        found = [tuple(draw_corner((50, 50, 50), (8, 8, 8), voxel)) for _ in range(2000)]
        share = np.mean([corner == (36, 0, 5) for corner in found])
        assert share == pytest.approx(0.33, abs=0.04)
        assert np.min(found) == 0 and np.max(found) == 42

    def test_rare_classes_are_drawn_as_often(self):
        rare, common = np.array([[0, 0, 0]]), np.full((1000, 3), 9)
        found = [draw_corner((10, 10, 10), (1, 1, 1), (rare, common), foreground=1.0)
                 for _ in range(600)]  # fmt: skip
        assert np.mean(found) / 9 == pytest.approx(0.5, abs=0.08)

    def test_small_volumes_are_padded(self):
        volume = np.ones((1, 3, 9, 9), np.float32)
        corners = {draw_corner((3, 9, 9), (8, 4, 4), ())[0] for _ in range(100)}
        assert corners == set(range(-5, 1))
        cut = patch_at(volume, (-2, 0, 5), (8, 4, 4))
        assert cut.shape == (1, 8, 4, 4)
        assert cut.sum() == 3 * 16 and cut[0, 2:5].all()


def test_patches(folder):
    data = dataset(folder, samples=7)
    assert len(data) == 7 and data.metainfo['classes'] == CLASSES
    found = data[3]
    assert found['case'] == 'b'
    assert type(found['image']) is torch.Tensor and found['image'].dtype == torch.float32
    assert found['image'].shape == found['label'].shape == (1, 8, 6, 4)
    assert set(found['label'].unique().tolist()) <= {0, 1, 2}
    assert abs(float(found['image'].mean())) < 3  # z-scored
    assert data.get_data_info(3)['seg_map_path'].endswith('b.nii.gz')


def test_label_and_image_go_together(folder):
    """Of the noiseless pipeline, brightness says the class of every voxel."""
    data = dataset(
        folder, pipeline=[FLIP], samples=20, preparation=dict(channels=[dict(kind='none')])
    )
    seen = set()
    for index in range(20):
        patch = data[index]
        for k in patch['label'].unique().tolist():
            values = patch['image'][(patch['label'] == k) & (patch['image'] > 0)]
            assert (values - 50 - 100 * k).abs().max() < 40
            seen.add(k)
    assert seen == {0, 1, 2}


def test_slices(folder):
    assert dataset(folder, patch_size=(8, 6))[0]['image'].shape == (1, 1, 8, 6)


def test_whole_cases(folder):
    data = CaseDataset(folder, split='val', preparation=dict(spacing=(1.0, 1.0, 1.0)))
    found = data[0]
    truth = found['truth']
    assert (found['case'], truth.spacing, truth.labels.shape) == ('c', SPACING, SHAPE)
    assert found['image'].shape == (1, 12, 21, 16)
    restored = truth.preparation.restore(np.stack([1 - found['image'][0]] * 2), truth.geometry)
    assert restored.shape == truth.labels.shape


def test_a_place_in_the_stream_fixes_the_sample(folder):
    """Whatever was drawn before, in whichever worker."""
    first, second = (StreamDataset(dataset(folder, samples=9), seed=5) for _ in range(2))
    second[StreamIndex(2, 0)], second[StreamIndex(4, 1)]
    np.random.seed(99)
    one, other = (data[StreamIndex(1, 7)] for data in (first, second))
    assert torch.equal(one['image'], other['image']) and torch.equal(one['label'], other['label'])
    assert not torch.equal(one['image'], first[StreamIndex(1, 8)]['image'])


def test_cache(folder, tmp_path):
    options = dict(cache=tmp_path / 'cache', samples=4)
    plain = StreamDataset(dataset(folder, samples=4), seed=1)[StreamIndex(0, 0)]
    for _ in range(2):  # written, then read
        found = StreamDataset(dataset(folder, **options), seed=1)[StreamIndex(0, 0)]
        assert torch.equal(found['image'], plain['image'])
    written = sorted(path.name for path in (tmp_path / 'cache').iterdir())
    assert len(written) == 1 and written[0].startswith('a-')
    dataset(folder, **options, preparation=dict(crop_nonzero=False))[0]
    assert len(list((tmp_path / 'cache').iterdir())) == 2


def test_refusals(folder, tmp_path):
    with pytest.raises(DataError, match='no such folder'):
        CaseDataset(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='has no case'):
        CaseDataset(folder, split='test')
    with pytest.raises(ValueError, match='set patch_size'):
        CaseDataset(folder, samples=4)
    with pytest.raises(ValueError, match='two sides'):
        dataset(folder, patch_size=(8,))
    with pytest.raises(ValueError, match='samples=0'):
        dataset(folder, samples=0)
    several = dict(
        type='monai.transforms.RandSpatialCropSamplesd', keys='image', roi_size=4, num_samples=2
    )
    with pytest.raises(ValueError, match='makes 2 patches'):
        dataset(folder, pipeline=[several])[0]


def config(folder, work, iters):
    common = dict(type='mamba_dense.CaseDataset', data_root=str(folder))
    loader = dict(num_workers=0, collate_fn=dict(type='default_collate'))
    whole = dict(
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**common, split='val'),
    )
    unet = dict(type='monai.networks.nets.UNet', spatial_dims=3, in_channels=1, out_channels=3)
    return Config(
        dict(
            default_scope='mamba_dense',
            work_dir=str(work),
            model=dict(
                type='mamba_dense.VolumeSegmentor',
                backbone=dict(**unet, channels=(4, 8), strides=(2,), dropout=0.1),
                num_classes=3,
                loss=dict(type='mamba_dense.NnUNetLoss'),
                patch_size=(8, 8, 8),
            ),
            train_dataloader=dict(
                **loader,
                batch_size=2,
                sampler=dict(type='InfiniteSampler', shuffle=True),
                dataset=dict(**common, patch_size=(8, 8, 8), pipeline=PIPELINE),
            ),
            val_dataloader=whole,
            val_evaluator=dict(type='mamba_dense.CaseScores', scores=('dice',)),
            val_cfg=dict(),
            train_cfg=dict(by_epoch=False, max_iters=iters, val_interval=4),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
            randomness=dict(seed=3),
        )
    )


def test_resume_equals_unbroken(folder, tmp_path):
    def trained(work, iters, resume=None):
        cfg = config(folder, tmp_path / work, iters)
        return run(cfg, settle(cfg, resume=resume)).state_dict()

    whole = trained('whole', 4)
    trained('parts', 2)
    resumed = trained('parts', 4, resume='auto')
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert list((tmp_path / 'whole').glob('*/case_scores.csv'))
