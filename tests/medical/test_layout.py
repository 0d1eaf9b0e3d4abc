"""nnU-Net's raw layout: both generations of dataset.json, splits, everything wrong at once."""

import json

import pytest

pytest.importorskip('mmseg', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.medical.layout import read_layout, scan_layout, write_dataset_json, write_splits

MSD = {'modality': {'0': 'MRI'}, 'labels': {'0': 'background', '1': 'front', '2': 'back'}}


def folder(root, names=('a', 'b'), channels=2, test=()):
    for part, listed in (('Tr', names), ('Ts', test)):
        for kind in ('images', 'labels'):
            (root / f'{kind}{part}').mkdir(parents=True, exist_ok=True)
        for name in listed:
            for n in range(channels):
                (root / f'images{part}' / f'{name}_{n:04d}.nii.gz').touch()
    for name in names:
        (root / 'labelsTr' / f'{name}.nii.gz').touch()
    kinds = [f'T{n + 1}' for n in range(channels)]
    write_dataset_json(root, channels=kinds, classes=['background', 'x'], cases=len(names))
    return root


def problems(root):
    with pytest.raises(DataError) as caught:
        read_layout(root)
    return caught.value.problems


def test_present_generation(tmp_path):
    layout = read_layout(folder(tmp_path, test=('c',)))
    assert layout.classes == ('background', 'x')
    assert layout.channels == ('T1', 'T2')
    assert [case.name for case in layout.train] == ['a', 'b']
    assert [path.name for path in layout.train[0].images] == ['a_0000.nii.gz', 'a_0001.nii.gz']
    assert layout.train[1].labels == tmp_path / 'labelsTr' / 'b.nii.gz'
    assert [(case.name, case.labels) for case in layout.split('test')] == [('c', None)]


@pytest.mark.parametrize('name', ['hippocampus_001', 'patient_0001'])
def test_decathlon(tmp_path, name):
    for kind in ('imagesTr', 'labelsTr'):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f'{name}.nii.gz').touch()
        (tmp_path / kind / f'._{name}.nii.gz').touch()
    (tmp_path / 'dataset.json').write_text(json.dumps(MSD))
    layout = read_layout(tmp_path)
    assert layout.classes == ('background', 'front', 'back')
    assert layout.channels == ('MRI',)
    assert [case.name for case in layout.train] == [name]


def test_another_ending(tmp_path):
    for kind, name in (('images', 'a_0000.png'), ('labels', 'a.png')):
        (tmp_path / f'{kind}Tr').mkdir()
        (tmp_path / f'{kind}Tr' / name).touch()
    write_dataset_json(
        tmp_path, channels=['R'], classes=['background', 'x'], cases=1, ending='.png'
    )
    assert read_layout(tmp_path).train[0].labels.name == 'a.png'


class TestSplit:
    def test_written(self, tmp_path):
        write_splits(folder(tmp_path, ('a', 'b', 'c')), ['a', 'c'], ['b'])
        layout = read_layout(tmp_path)
        assert [case.name for case in layout.split('train')] == ['a', 'c']
        assert [case.name for case in layout.split('val')] == ['b']
        assert len(layout.split('all')) == 3

    def test_written_folds(self, tmp_path):
        folds = [{'train': ['a'], 'val': ['b']}, {'train': ['b'], 'val': ['a']}]
        (folder(tmp_path) / 'splits.json').write_text(json.dumps(folds))
        layout = read_layout(tmp_path)
        assert [case.name for case in layout.split('val', fold=1)] == ['a']
        with pytest.raises(ValueError, match='fold=2: .*splits.json has the folds 0 to 1'):
            layout.split('val', fold=2)

    def test_dealt(self, tmp_path):
        names = [f'n{n}' for n in range(12)]
        layout = read_layout(folder(tmp_path, names, channels=1))
        val = [{case.name for case in layout.split('val', fold)} for fold in range(5)]
        assert sorted(name for part in val for name in part) == sorted(names)
        assert [len(part) for part in val] == [3, 3, 2, 2, 2]
        for fold in range(5):
            train = {case.name for case in layout.split('train', fold)}
            assert train == set(names) - val[fold]
        with pytest.raises(ValueError, match='fold=5: 12 cases are dealt to the folds 0 to 4'):
            layout.split('val', 5)

    def test_one_case(self, tmp_path):
        layout = read_layout(folder(tmp_path, ('a',)))
        with pytest.raises(DataError, match='a split needs two; split="all"'):
            layout.split('train')
        assert len(layout.split('all')) == 1

    def test_refusals(self, tmp_path):
        write_splits(folder(tmp_path), ['a', 'z'], ['a'])
        layout = read_layout(tmp_path)
        with pytest.raises(DataError) as caught:
            layout.split('val')
        text = '\n'.join(caught.value.problems)
        assert "train names 'z', which is no case" in text
        assert "'a' is in both" in text
        with pytest.raises(ValueError, match='known: train, val, all, test'):
            layout.split('valid')


def test_every_problem_at_once(tmp_path):
    root = folder(tmp_path, ('a', 'b', 'c', 'd'))
    (root / 'labelsTr' / 'a.nii.gz').unlink()
    (root / 'imagesTr' / 'b_0001.nii.gz').unlink()
    (root / 'labelsTr' / 'stray.nii.gz').touch()
    found = problems(root)
    assert len(found) == 3
    text = '\n'.join(found)
    assert 'a.nii.gz: missing, the mask of' in text
    assert 'case b has the channels 0000; dataset.json: 0000, 0001' in text
    assert 'stray.nii.gz: a mask without images' in text
    layout, _ = scan_layout(root)
    assert [case.name for case in layout.train] == ['c', 'd']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'not JSON'),
        ('[]', 'holds list'),
        ({'channel_names': {'0': 'CT'}}, 'labels=None'),
        ({'channel_names': {'0': 'CT'}, 'labels': {'a': 0, 'b': 2}}, r'numbered \[0, 2\]'),
        ({'channel_names': {'0': 'CT'}, 'labels': {'a': 0, 'b': 0}}, "'a' and 'b' are both 0"),
        ({'channel_names': {'0': 'CT'}, 'labels': {'a': 0, 'b': [1, 2]}}, "'b' is a region"),
        ({'channel_names': {'0': 'CT'}, 'labels': {'a': 0, 'ignore': 1}}, "'ignore' is a region"),
        ({'channel_names': {'0': 'CT'}, 'labels': {'a': 0, 'b': -1}}, "'b' has the number -1"),
        ({'channel_names': {'1': 'CT'}, 'labels': {'a': 0}}, 'channel_names='),
        ({'channel_names': {}, 'labels': {'a': 0}}, 'channel_names is empty'),
    ],
)
def test_bad_dataset_json(tmp_path, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder(tmp_path) / 'dataset.json').write_text(text)
    with pytest.raises(DataError, match=message):
        read_layout(tmp_path)


def test_nothing_there(tmp_path):
    assert 'no such folder' in problems(tmp_path / 'none')[0]
    assert 'dataset.json: does not exist' in problems(tmp_path)[0]
    write_dataset_json(tmp_path, channels=['CT'], classes=['background', 'x'], cases=0)
    assert 'imagesTr: no images *.nii.gz' in problems(tmp_path)[0]
