"""Folders of images and masks become mmseg's layout, or are refused with every problem listed."""

import json

import numpy as np
import pytest
from PIL import Image

from mamba_dense.engine.files import DataError, read_mask
from mamba_dense.segmentation.data_check import folder_problems
from mamba_dense.segmentation.prepare import write_folder, write_sample

CLASSES = ('background', 'leaf', 'stem')


@pytest.fixture
def own(tmp_path):
    """Ten images with masks of the values 0, 100 and 200."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for n in range(10):
        image = rng.integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / 'images' / f'{n}.jpg')
        mask = (rng.integers(0, 3, (20, 30)) * 100).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / 'masks' / f'{n}.png')
    return tmp_path


def write(own, **options):
    options = {'classes': CLASSES, 'values': {0: 0, 100: 1, 200: 2}, **options}
    return write_folder(own / 'images', own / 'masks', own / 'out', **options)


def test_folder(own):
    assert write(own) == {'val': 2, 'train': 8}
    assert list(folder_problems(own / 'out')) == []
    assert json.loads((own / 'out' / 'classes.json').read_text()) == {'classes': list(CLASSES)}
    for subset, count in (('train', 8), ('val', 2)):
        images = sorted((own / 'out' / 'img_dir' / subset).iterdir())
        assert len(images) == count
        for image in images:
            mask = read_mask(own / 'out' / 'ann_dir' / subset / f'{image.stem}.png')
            source = read_mask(own / 'masks' / f'{image.stem}.png')
            assert mask.dtype == np.uint8
            assert (mask == source // 100).all()
            assert image.read_bytes() == (own / 'images' / image.name).read_bytes()
    with pytest.raises(FileExistsError, match='holds data already'):
        write(own)


def test_values_may_be_ignored(own):
    write(own, classes=CLASSES[:2], values={0: 0, 100: 1, 200: 255})
    masks = [read_mask(file) for file in (own / 'out' / 'ann_dir').rglob('*.png')]
    assert {int(value) for mask in masks for value in np.unique(mask)} == {0, 1, 255}


def test_a_class_that_no_mask_shows(own):
    with pytest.raises(DataError, match=r'no mask shows stem; .* values \[0, 100, 200\]$'):
        write(own, values={0: 0, 100: 1, 200: 255})


def test_palette_masks_are_indices(own):
    for file in (own / 'masks').iterdir():
        indices = Image.fromarray(read_mask(file) // 100).convert('P')
        indices.putpalette([0, 0, 0, 10, 20, 30, 99, 98, 97])
        indices.save(file)
    write(own, values=None)
    assert list(folder_problems(own / 'out')) == []


def test_problems_are_listed_and_nothing_is_written(own):
    with pytest.raises(DataError) as caught:
        write(own, values=None)
    assert len(caught.value.problems) == 10
    assert 'label 100, 200 outside the classes; allowed: 0 to 2 and 255' in str(caught.value)
    Image.new('L', (5, 6)).save(own / 'masks' / '3.png')
    (own / 'images' / '4.jpg').write_bytes(b'')
    with pytest.raises(DataError) as caught:
        write(own)
    assert len(caught.value.problems) == 2
    assert 'mask of 5x6 pixels for an image of 30x20' in str(caught.value)
    assert '4.jpg: an empty file' in str(caught.value)
    assert not (own / 'out').exists()


def test_missing_masks_and_mixed_suffixes(own):
    (own / 'masks' / '3.png').unlink()
    with pytest.raises(DataError, match=r'3\.jpg: no mask 3\.png'):
        write(own)
    Image.new('RGB', (5, 6)).save(own / 'images' / 'other.png')
    with pytest.raises(DataError, match='mixed suffixes .jpg, .png'):
        write(own)


@pytest.mark.parametrize(
    'options, said',
    [
        ({'val_share': 1.0}, 'val_share=1.0 must lie between'),
        ({'values': {0: 3}}, 'class numbers are 0 to 2, or 255'),
        ({'classes': ('one',)}, '1 classes given'),
    ],
    ids=['share', 'values', 'classes'],
)
def test_arguments(own, options, said):
    with pytest.raises(ValueError, match=said):
        write(own, **options)


def test_sample(tmp_path):
    write_sample('nuclei', tmp_path)
    assert list(folder_problems(tmp_path)) == []
    sizes = {Image.open(file).size for file in tmp_path.rglob('*.png')}
    assert sizes == {(256, 256)}
    assert len(list((tmp_path / 'img_dir' / 'train').iterdir())) == 3
    with pytest.raises(ValueError, match='known: nuclei'):
        write_sample('trees', tmp_path)
