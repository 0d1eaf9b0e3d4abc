"""Volumes predicted: masks in the file's geometry, tables, montages, and cases that cannot be."""

import csv

import cv2
import nibabel
import numpy as np
import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.apis import infer, init_model, volume
from mamba_dense.apis.volume import VolumeOptions, infer_volume, model_preparation, predict_volumes
from mamba_dense.apis.volume_cases import find_cases, holds_volumes
from mamba_dense.apis.volume_drawing import chosen_planes, montage
from mamba_dense.medical.layout import write_dataset_json
from mamba_dense.medical.slices import picture, plane
from mamba_dense.medical.volume import VolumeError, read_image

from .volumes import AFFINE, write_case

SHAPE = (20, 18, 12)
MODEL = {
    'type': 'mamba_dense.VolumeSegmentor',
    'backbone': {
        'type': 'monai.networks.nets.UNet',
        'spatial_dims': 3,
        'in_channels': 1,
        'out_channels': 3,
        'channels': [4, 8],
        'strides': [2],
    },
    'num_classes': 3,
    'loss': {'type': 'mamba_dense.NnUNetLoss'},
    'patch_size': [8, 8, 8],
}


def config(channels=1, **preparation):
    """A config of a tiny network with random weights."""
    model = {**MODEL, 'backbone': {**MODEL['backbone'], 'in_channels': channels}}
    preparation['channels'] = channels * [{'kind': 'zscore'}]
    dataset = {
        'type': 'mamba_dense.CaseDataset',
        'preparation': preparation,
        'metainfo': {'classes': ('background', 'grey', 'white')},
    }
    return Config(
        {
            'default_scope': 'mamba_dense',
            'model': model,
            'test_dataloader': {'dataset': dataset},
        }
    )


def network(channels=1, **preparation):
    torch.manual_seed(0)
    return init_model(config(channels, **preparation), device='cpu')


@pytest.fixture(scope='module')
def model():
    return network()


@pytest.fixture(scope='module')
def pictures():
    """A network of pictures."""
    torch.manual_seed(0)
    return init_model('vmamba-nano_upernet_nuclei-128x128', device='cpu')


class TestCases:
    def test_channels_of_a_case(self, tmp_path):
        names = ('b_0001.nii.gz', 'b_0000.nii.gz', 'a.nii', 'sub/c_0000.nii.gz', 'out/a.nii.gz')
        for name in names:
            write_case(tmp_path / name)
        cases = find_cases(tmp_path, tmp_path / 'out')
        assert [(case.name, [path.name for path in case.paths]) for case in cases] == [
            ('a', ['a.nii']),
            ('b', ['b_0000.nii.gz', 'b_0001.nii.gz']),
            ('sub/c', ['c_0000.nii.gz']),
        ]
        assert not any(case.problem for case in cases)
        (alone,) = find_cases(tmp_path / 'b_0001.nii.gz')
        assert alone.name == 'b' and len(alone.paths) == 2
        assert [case.name for case in find_cases(tmp_path / 'a.nii')] == ['a']

    @pytest.mark.parametrize('names', [('a_0001',), ('a_0000', 'a_0002'), ('a', 'a_0000')], ids=str)
    def test_gaps(self, tmp_path, names):
        for name in names:
            write_case(tmp_path / f'{name}.nii.gz')
        (case,) = find_cases(tmp_path)
        assert f'the case a has the files {names[0]}.nii.gz' in case.problem

    def test_nothing(self, tmp_path):
        with pytest.raises(ValueError, match='no volume in this folder'):
            find_cases(tmp_path)
        with pytest.raises(ValueError, match='no such file'):
            find_cases(tmp_path / 'a.nii')

    def test_what_a_folder_holds(self, tmp_path):
        assert not holds_volumes(tmp_path)
        path = write_case(tmp_path / 'a.nii.gz')
        assert holds_volumes(tmp_path) and holds_volumes(path)
        (tmp_path / 'out').mkdir()
        (tmp_path / 'out' / 'a_montage.png').touch()
        assert holds_volumes(tmp_path, tmp_path / 'out') and not holds_volumes(tmp_path)


class TestInferVolume:
    def test_is_the_network_on_the_prepared_volume(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz')
        done = infer_volume(model, path)
        preparation = model_preparation(model)
        prepared = preparation.prepare(read_image(path))
        scores = model.predict_scores(torch.from_numpy(prepared.data))
        assert np.array_equal(done.labels, preparation.restore(scores, prepared.geometry))
        assert done.labels.shape == SHAPE and len(np.unique(done.labels)) > 1

    def test_in_parts_it_is_the_same(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz')
        whole = infer_volume(model, path)
        # 10 bytes a voxel hold the case, 36 predict all of it
        parts = infer_volume(model, path, VolumeOptions(max_memory=40 * np.prod(SHAPE)))
        assert whole.parts == 1 and parts.parts > 1
        assert np.array_equal(whole.labels, parts.labels)

    def test_too_little_memory(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz')
        for share, message in ((5, 'the image alone takes'), (12, 'alone'), (20, 'smallest part')):
            with pytest.raises(MemoryError, match=f'a.nii.gz: .*{message}.*--max-memory'):
                infer_volume(model, path, VolumeOptions(max_memory=share * np.prod(SHAPE)))

    def test_what_is_free_counts(self, model, tmp_path, monkeypatch):
        path = write_case(tmp_path / 'a.nii.gz')
        monkeypatch.setattr(volume, 'free_memory', lambda: 60 * np.prod(SHAPE))
        assert infer_volume(model, path).parts > 1
        monkeypatch.setattr(volume, 'free_memory', lambda: 6 * np.prod(SHAPE))
        with pytest.raises(MemoryError, match='a.nii.gz: the image alone takes'):
            infer_volume(model, path)

    def test_mirrored(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz', (8, 8, 8))
        seen = model_preparation(model).prepare(read_image(path)).data
        image = torch.from_numpy(seen)[None]
        turns = [[a + 2 for a in range(3) if bits >> a & 1] for bits in range(8)]
        with torch.no_grad():
            mean = sum(model.maps(image.flip(t))[0].flip(t) for t in turns) / 8
        found = infer_volume(model, path, VolumeOptions(mirror=True)).labels
        assert np.array_equal(found, mean[0].argmax(0).numpy())
        assert not np.array_equal(found, infer_volume(model, path).labels)

    def test_resampled_and_turned(self, tmp_path):
        model = network(spacing=[2.0, 1.0, 1.2], axes=[2, 0, 1])
        labels = infer_volume(model, write_case(tmp_path / 'a.nii.gz')).labels
        assert labels.shape == SHAPE and len(np.unique(labels)) > 1

    def test_a_constant_and_a_thin_volume(self, model, tmp_path):
        for name, shape in (('a.nii', (20, 18, 1)), ('b.nii', (20, 1, 12))):
            assert infer_volume(model, write_case(tmp_path / name, shape)).labels.shape == shape
        nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, 3, np.uint8), AFFINE), tmp_path / 'c.nii')
        assert infer_volume(model, tmp_path / 'c.nii').labels.shape == SHAPE

    def test_refusals(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz')
        with pytest.raises(ValueError, match='has 2 channels, the preparation has 1'):
            infer_volume(model, [path, path])
        with pytest.raises(ValueError, match='axis=1, .*allowed is None'):
            infer_volume(model, path, VolumeOptions(axis=1))
        with pytest.raises(ValueError, match='Linear does not take volumes'):
            infer_volume(torch.nn.Linear(1, 1), path)
        bare = network()
        bare.cfg.test_dataloader.dataset.pop('preparation')
        with pytest.raises(ValueError, match='has no preparation in test_dataloader.dataset'):
            infer_volume(bare, path)


class TestSlices:
    @pytest.mark.parametrize('axis', [0, 1, 2])
    def test_there_and_back(self, axis):
        scan = np.random.default_rng(0).integers(0, 9, (2, 5, 6, 7))
        shown = picture(scan, axis, 3)
        assert shown.shape[2] == 2
        for channel in range(2):
            back = plane(picture(scan[channel], axis, 3))
            assert np.array_equal(back, scan[channel].take(3, axis))
            assert np.array_equal(shown[..., channel], picture(scan[channel], axis, 3))

    @pytest.mark.parametrize('mirror', [False, True])
    def test_are_the_networks(self, pictures, tmp_path, mirror):
        path = write_case(tmp_path / 'a.nii.gz', (33, 4, 40))
        done = infer_volume(pictures, path, VolumeOptions(axis=1, mirror=mirror))
        values = read_image(path).data[0].astype(np.uint8)
        for index in (0, 3):
            expected = infer(pictures, picture(values, 1, index), mirror=mirror).mask
            assert np.array_equal(picture(done.labels, 1, index), expected)

    def test_the_axis_is_that_of_the_largest_spacing(self, pictures, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz', (32, 32, 2))
        shown = []
        infer_volume(pictures, path, on_part=lambda done, total: shown.append((done, total)))
        assert shown == [(1, 2), (2, 2)]

    def test_the_range(self, pictures, tmp_path):
        values = np.random.default_rng(0).integers(-1000, 1000, (32, 32, 2)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / 'a.nii')
        with pytest.raises(VolumeError, match='values from -.* to 9.*--range -125 275'):
            infer_volume(pictures, tmp_path / 'a.nii')
        given = infer_volume(pictures, tmp_path / 'a.nii', VolumeOptions(value_range=(-125, 275)))
        pictures.cfg.slices = {'axis': 2, 'range': (-125, 275)}
        try:
            assert np.array_equal(infer_volume(pictures, tmp_path / 'a.nii').labels, given.labels)
        finally:
            pictures.cfg.pop('slices')


class TestPredictVolumes:
    @pytest.fixture
    def folder(self, tmp_path):
        """Two good cases among one of every bad kind."""
        inside = tmp_path / 'in'
        good = write_case(inside / 'f_0000.nii.gz')
        write_case(inside / 'z.nii.gz', (9, 1, 12), seed=1)
        whole = good.read_bytes()
        (inside / 'a.nii.gz').write_bytes(whole[: len(whole) // 2])
        bad = np.full(SHAPE, np.nan, np.float32)
        nibabel.save(nibabel.Nifti1Image(bad, AFFINE), inside / 'b_0000.nii.gz')
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4, 2)), AFFINE), inside / 'c.nii.gz')
        write_case(inside / 'd_0001.nii.gz')
        write_case(inside / 'e_0000.nii.gz')
        write_case(inside / 'e_0001.nii.gz', (5, 5, 5))
        return inside

    def test_folder(self, model, folder, tmp_path):
        out = tmp_path / 'out'
        outcomes = {o.name: o for o in predict_volumes(model, folder, out)}
        assert sorted(name for name, o in outcomes.items() if o.error) == ['a', 'b', 'c', 'd', 'e']
        for name, words in {
            'a': 'a.nii.gz: cannot be read',
            'b': '4320 voxels are not finite',
            'c': 'has 4 axes',
            'd': 'without a gap',
            'e': 'e_0001.nii.gz: has the shape',
        }.items():
            assert words in outcomes[name].error
        made = {path.relative_to(out).as_posix() for path in out.rglob('*') if path.is_file()}
        results = {f'{name}{ending}' for name in 'fz' for ending in ('.nii.gz', '_montage.png')}
        assert made == {*results, 'volumes.csv'}
        self.check_geometry(folder / 'f_0000.nii.gz', out / 'f.nii.gz')
        self.check_table(out)

    def check_geometry(self, image, mask):
        image, mask = nibabel.load(image), nibabel.load(mask)
        assert np.array_equal(image.affine, mask.affine) and mask.shape == image.shape
        for code in ('sform_code', 'qform_code'):
            assert image.header[code] == mask.header[code]
        assert mask.get_data_dtype() == np.uint8

    def check_table(self, out):
        rows = list(csv.DictReader((out / 'volumes.csv').open()))
        assert [(row['case'], row['class']) for row in rows] == [
            (case, name) for case in 'fz' for name in ('grey', 'white')
        ]
        for row in rows:
            mask = np.asarray(nibabel.load(out / f'{row["case"]}.nii.gz').dataobj)
            count = (mask == (1 if row['class'] == 'grey' else 2)).sum()
            assert int(row['voxels']) == count
            # 1.5 x 2 x 3 mm
            assert float(row['millilitres']) == pytest.approx(count * 0.009, rel=1e-5)

    def test_again_into_a_folder_inside(self, model, tmp_path):
        write_case(tmp_path / 'a.nii.gz')
        for _ in range(2):
            names = [o.name for o in predict_volumes(model, tmp_path, tmp_path / 'out')]
            assert names == ['a']

    def test_classes_are_named_by_the_data(self, tmp_path):
        path, root = write_case(tmp_path / 'a.nii.gz'), tmp_path / 'raw'
        write_case(root / 'imagesTr' / 'b_0000.nii.gz')
        write_dataset_json(root, channels=('MRI',), classes=('background', 'u', 'v'), cases=1)
        tiny = network()
        tiny.cfg.test_dataloader.dataset.data_root = str(root)
        tiny.dataset_meta = {}
        (outcome,) = predict_volumes(tiny, path, tmp_path / 'out')
        assert [row[0] for row in outcome.rows] == ['u', 'v']

    def test_images_are_never_overwritten(self, model, tmp_path):
        path = write_case(tmp_path / 'a.nii.gz')
        before = path.read_bytes()
        with pytest.raises(ValueError, match='is the folder of the images'):
            list(predict_volumes(model, tmp_path, tmp_path))
        (outcome,) = predict_volumes(model, path, tmp_path)
        assert 'is the image itself' in outcome.error and path.read_bytes() == before


class TestMontage:
    def test_planes_of_the_largest_extent(self):
        labels = np.zeros((9, 8, 7), np.uint8)
        assert chosen_planes(labels) == (4, 4, 3)
        labels[6, 2:5, 1] = labels[6, 2, 1:4] = 1
        assert chosen_planes(labels) == (6, 2, 1)

    def test_has_the_proportions_of_the_body(self, tmp_path):
        scan = read_image(write_case(tmp_path / 'a.nii', (40, 20, 10)))  # 60 x 40 x 30 mm
        labels = np.zeros((40, 20, 10), np.uint8)
        plain = montage(scan, labels, 3)
        # planes across X, Y, Z: columns 40, 60, 60 mm; rows 30, 30, 40 mm
        assert plain.shape == (round(40 / 60 * 512), round(40 / 60 * 512) + 2 * 512 + 16, 3)
        assert (plain == plain[..., :1]).all()
        labels[20] = 1
        tinted = montage(scan, labels, 3)
        assert (tinted[100, :300] != plain[100, :300]).any()

    def test_of_a_constant_image(self, tmp_path):
        nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, 3, np.uint8), AFFINE), tmp_path / 'c.nii')
        drawn = montage(read_image(tmp_path / 'c.nii'), np.zeros(SHAPE, np.uint8), 2)
        assert not drawn.any()


def test_a_picture_is_still_a_picture(pictures, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (40, 52, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert not holds_volumes(tmp_path)
    scores = [
        np.flip(infer(pictures, np.flip(image, t), keep_scores=True).scores, [a + 1 for a in t])
        for t in ((), (0,), (1,), (0, 1))
    ]
    mirrored = infer(pictures, image, mirror=True, keep_scores=True)
    assert np.allclose(mirrored.scores, np.mean(scores, axis=0), atol=1e-6)
    assert infer(pictures, image, mirror=True, tile=32).mask.shape == (40, 52)
