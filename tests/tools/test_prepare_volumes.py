"""Volumes of published data sets in the shape they are distributed in -> nnU-Net's raw layout."""

import json

import nibabel
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.medical.layout import read_layout, write_dataset_json
from mamba_dense.medical.volume_check import inspect_folder
from mamba_dense.medical.volume_convert import source_problems, write_raw
from mamba_dense.medical.volume_sets import FINDERS

from ..medical.volumes import image, mask, raw_folder, save, spoil


def lits(root):
    for n in range(4):
        part = root / f'part{n % 2}'
        save(part / f'volume-{n}.nii', image(mask(), n), (0.7, 0.7, 1 + n))
        save(root / 'segmentations' / f'segmentation-{n}.nii', mask(), (0.7, 0.7, 1 + n))
    save(root / 'test-volume-9.nii', image(mask()))
    return 'lits', 5


def acdc(root):
    for part, patients in (('training', range(1, 4)), ('testing', [101])):
        for patient in patients:
            place = root / part / f'patient{patient:03d}'
            for frame in (1, 12):
                name = f'{place.name}_frame{frame:02d}'
                labels = mask(classes=4)
                save(place / f'{name}.nii.gz', image(labels, patient), (1.5, 1.5, 10))
                save(place / f'{name}_gt.nii.gz', labels, (1.5, 1.5, 10))
            (place / 'Info.cfg').write_text('ED: 1\nES: 12\nGroup: NOR\nNbFrame: 20\n')
    return 'acdc', 8


def synapse(root):
    labels = mask((28, 5, 4), classes=14)
    for n in (1, 2, 5, 6):
        save(root / 'Training' / 'img' / f'img{n:04d}.nii.gz', image(labels, n), (0.8, 0.8, 3))
        save(root / 'Training' / 'label' / f'label{n:04d}.nii.gz', labels, (0.8, 0.8, 3))
    save(root / 'Testing' / 'img' / 'img0061.nii.gz', image(labels))
    return 'synapse-volumes', 5


def decathlon(root):
    for n in range(4):
        save(root / 'imagesTr' / f'case_{n:03d}.nii.gz', image(mask(), n))
        save(root / 'labelsTr' / f'case_{n:03d}.nii.gz', mask())
    labels = {'0': 'background', '1': 'anterior', '2': 'posterior'}
    content = {'modality': {'0': 'MRI'}, 'labels': labels, 'numTraining': 4}
    (root / 'dataset.json').write_text(json.dumps(content))
    return 'nnunet', 4


@pytest.mark.parametrize('make', [lits, acdc, synapse, decathlon])
def test_goes_through(tmp_path, make):
    name, count = make(tmp_path / 'in')
    source = FINDERS[name](tmp_path / 'in')
    assert list(source_problems(source)) == []
    counts, _, _ = write_raw(source, tmp_path / 'out', val_share=0.4)
    assert sum(counts.values()) == count
    assert min(counts['train'], counts['val']) > 0
    found = inspect_folder(tmp_path / 'out')
    assert found.problems == []
    layout = read_layout(tmp_path / 'out')
    assert (len(layout.split('train')), len(layout.split('val'))) == (
        counts['train'],
        counts['val'],
    )
    with pytest.raises(FileExistsError, match='holds data already'):
        write_raw(source, tmp_path / 'out')


@pytest.mark.parametrize('make', [lits, synapse])
def test_voxels_and_geometry_are_kept(tmp_path, make):
    name, _ = make(tmp_path / 'in')
    source = FINDERS[name](tmp_path / 'in')
    write_raw(source, tmp_path / 'out')
    written = {case.name: case for case in read_layout(tmp_path / 'out').train}
    for before in source.train:
        after = written[before.name]
        for old, new in ((before.images[0], after.images[0]), (before.labels, after.labels)):
            first, second = nibabel.load(old), nibabel.load(new)
            assert np.array_equal(first.affine, second.affine)
            assert first.get_data_dtype() == second.get_data_dtype()
            if old is before.images[0]:
                assert np.array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))


def test_synapse_has_the_numbers_and_the_split_of_the_papers(tmp_path):
    synapse(tmp_path / 'in')
    write_raw(FINDERS['synapse-volumes'](tmp_path / 'in'), tmp_path / 'out')
    layout = read_layout(tmp_path / 'out')
    assert layout.classes[1:4] == ('aorta', 'gallbladder', 'left kidney')
    old = nibabel.load(tmp_path / 'in' / 'Training' / 'label' / 'label0001.nii.gz')
    new = np.asarray(nibabel.load(layout.train[0].labels).dataobj)
    for number, name in ((8, 'aorta'), (6, 'liver'), (1, 'spleen'), (7, 'stomach')):
        expected = np.asarray(old.dataobj) == number
        assert np.array_equal(new == layout.classes.index(name), expected)
    assert not new[np.asarray(old.dataobj) == 13].any()
    assert [case.name for case in layout.split('val')] == ['case0001', 'case0002']


def test_frames_of_a_patient_stay_together(tmp_path):
    acdc(tmp_path / 'in')
    source = FINDERS['acdc'](tmp_path / 'in')
    write_raw(source, tmp_path / 'folds')
    layout = read_layout(tmp_path / 'folds')
    for fold in range(3):
        parts = [{c.name[:10] for c in layout.split(part, fold)} for part in ('train', 'val')]
        assert not parts[0] & parts[1]
        assert len(parts[1]) == 1
    write_raw(source, tmp_path / 'share', val_share=0.3, seed=4)
    held_out = {case.name[:10] for case in read_layout(tmp_path / 'share').split('val')}
    assert len(held_out) == 1


def test_bad_cases_are_listed_and_the_rest_is_written(tmp_path):
    expected = spoil(raw_folder(tmp_path / 'in', cases=6))
    source = FINDERS['nnunet'](tmp_path / 'in')
    for found in (
        list(source_problems(source)),
        inspect_folder(tmp_path / 'in').problems,
        write_raw(source, tmp_path / 'out')[1],
    ):
        assert len(found) == len(expected)
        for start in expected:
            assert any(start in problem for problem in found), start
    assert [case.name for case in read_layout(tmp_path / 'out').train] == ['e', 'f']
    assert inspect_folder(tmp_path / 'out').problems == []


def test_mixed_spacings_and_axes_are_reported(tmp_path):
    lits(tmp_path / 'in')
    _, left_out, notes = write_raw(FINDERS['lits'](tmp_path / 'in'), tmp_path / 'out')
    assert left_out == []
    (note,) = [line for line in notes if 'spacing along Z' in line]
    assert 'from 1 mm (liver_0) to 4 mm (liver_3)' in note
    flipped = nibabel.Nifti1Image(mask(), np.diag((-0.7, 0.7, 1, 1)))
    nibabel.save(flipped, tmp_path / 'out' / 'imagesTr' / 'liver_0_0000.nii.gz')
    nibabel.save(flipped, tmp_path / 'out' / 'labelsTr' / 'liver_0.nii.gz')
    found = inspect_folder(tmp_path / 'out')
    assert found.problems == []
    assert any('orientations differ: 1 LAS, 4 RAS' in note for note in found.notes)


def test_files_of_several_channels_are_split(tmp_path):
    decathlon(tmp_path / 'in')
    path = tmp_path / 'in' / 'dataset.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'modality': {'0': 'FLAIR', '1': 'T1w'}}))
    for n in range(3):
        both = np.stack([image(mask(), n), image(mask(), n + 9)], axis=-1)
        save(tmp_path / 'in' / 'imagesTr' / f'case_{n:03d}.nii.gz', both)
    whole = (tmp_path / 'in' / 'imagesTr' / 'case_002.nii.gz').read_bytes()
    (tmp_path / 'in' / 'imagesTr' / 'case_002.nii.gz').write_bytes(whole[:900])
    with pytest.raises(DataError, match='--layout nnunet splits files of several channels'):
        read_layout(tmp_path / 'in')
    source = FINDERS['nnunet'](tmp_path / 'in')
    counts, left_out, _ = write_raw(source, tmp_path / 'out')
    assert counts == {'train': 2, 'val': 0, 'test': 0}
    assert 'case_002.nii.gz: cannot be read' in left_out[0]
    assert 'case_003.nii.gz: has the shape (8, 9, 7)' in left_out[1]
    layout = read_layout(tmp_path / 'out')
    assert layout.channels == ('FLAIR', 'T1w')
    second = nibabel.load(layout.train[1].images[1])
    assert np.array_equal(np.asarray(second.dataobj), image(mask(), 10))
    assert np.array_equal(second.affine, np.diag((1, 1, 2, 1)))


def test_pictures_are_another_check(tmp_path):
    for kind, name in (('images', 'a_0000.png'), ('labels', 'a.png')):
        (tmp_path / f'{kind}Tr').mkdir()
        (tmp_path / f'{kind}Tr' / name).touch()
    write_dataset_json(
        tmp_path, channels=['R'], classes=['background', 'x'], cases=1, ending='.png'
    )
    (problem,) = inspect_folder(tmp_path).problems
    assert '--layout nnunet-png --check' in problem


def test_a_class_that_no_mask_shows(tmp_path):
    raw_folder(tmp_path, cases=2)
    for name in 'ab':
        save(tmp_path / 'labelsTr' / f'{name}.nii.gz', mask().clip(max=1))
    assert 'class 2 (y) is in no mask' in inspect_folder(tmp_path).problems[0]


class TestLacking:
    def test_lits(self, tmp_path):
        save(tmp_path / 'volume-0.nii', mask())
        save(tmp_path / 'segmentation-1.nii', mask())
        found = list(source_problems(FINDERS['lits'](tmp_path)))
        assert 'segmentation-0.nii is missing' in found[0]
        assert 'segmentation-1.nii: its volume is missing' in found[1]

    def test_acdc(self, tmp_path):
        acdc(tmp_path)
        (tmp_path / 'training' / 'patient001' / 'Info.cfg').unlink()
        (tmp_path / 'training' / 'patient002' / 'Info.cfg').write_text('ED: one\n')
        (tmp_path / 'training' / 'patient003' / 'patient003_frame12_gt.nii.gz').unlink()
        found = '\n'.join(source_problems(FINDERS['acdc'](tmp_path)))
        assert 'patient001/Info.cfg: missing' in found
        assert "ED='one', ES=''" in found
        assert 'patient003_frame12_gt.nii.gz: missing' in found

    def test_synapse(self, tmp_path):
        synapse(tmp_path)
        (tmp_path / 'Training' / 'label' / 'label0005.nii.gz').unlink()
        (tmp_path / 'Training' / 'img' / 'img0006.nii.gz').unlink()
        found = '\n'.join(source_problems(FINDERS['synapse-volumes'](tmp_path)))
        assert 'label0005.nii.gz is missing' in found
        assert 'label0006.nii.gz: its image is missing' in found

    @pytest.mark.parametrize('name', FINDERS)
    def test_everything(self, tmp_path, name):
        source = FINDERS[name](tmp_path)
        assert len(list(source_problems(source))) == 1
        with pytest.raises(DataError):
            write_raw(source, tmp_path / 'out')
        assert not (tmp_path / 'out').exists()
