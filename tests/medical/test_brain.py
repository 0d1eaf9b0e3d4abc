"""The bundled brain: its split, the thresholds that networks must beat, the disturbed volume."""

import numpy as np
import pytest
from PIL import Image

from mamba_dense import samples

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

import nibabel

from mamba_dense.medical.brain import disturbed, read_brain, slabs, two_thresholds
from mamba_dense.medical.layout import read_layout
from mamba_dense.medical.prepare import write_sample
from mamba_dense.medical.scores import Counts


def threshold_dice(image, labels):
    part = slabs(image.shape[1])
    low, high = two_thresholds(image[:, part['train']], labels[:, part['train']])
    found = (image >= low).astype(int) + (image >= high)
    seen = (slice(None), part['val'])
    return np.mean([Counts.of(found[seen] == k, labels[seen] == k).dice for k in (1, 2)])


def test_parts_do_not_touch():
    image, labels = read_brain()
    assert image.shape == labels.shape == (98, 116, 94)
    part = slabs(116)
    assert (part['val'], part['train']) == (slice(0, 35), slice(39, 116))


def test_thresholds_are_those_of_the_tables():
    image, labels = read_brain()
    assert threshold_dice(image, labels) == pytest.approx(0.964, abs=0.001)
    assert threshold_dice(disturbed(image).round(), labels) == pytest.approx(0.845, abs=0.001)


def test_disturbance_is_a_function_of_its_seed():
    image, _ = read_brain()
    assert np.array_equal(disturbed(image, seed=3), disturbed(image, seed=3))
    assert not np.array_equal(disturbed(image, seed=3), disturbed(image, seed=4))
    assert not disturbed(image)[image == 0].any()


def test_slices_are_the_volume(tmp_path):
    write_sample('brain_slices', tmp_path)
    image, labels = read_brain()
    for folder, volume in (('img_dir', image), ('ann_dir', labels)):
        counts = {
            subset: len(list((tmp_path / folder / subset).iterdir())) for subset in ('train', 'val')
        }
        assert counts == {'train': 77, 'val': 35}
        picture = np.array(Image.open(tmp_path / folder / 'val' / 'y020.png'))
        assert np.array_equal(picture, volume[:, 20, ::-1].T.astype(np.uint8))


@pytest.mark.parametrize('name', ['brain', 'brain_disturbed'])
def test_volumes_lie_where_they_were(tmp_path, name):
    layout = read_layout(write_sample(name, tmp_path))
    assert layout.classes == ('background', 'grey matter', 'white matter')
    image, labels = read_brain()
    image = disturbed(image).round() if name == 'brain_disturbed' else image
    whole = nibabel.load(samples.path('brain/t1.nii.gz'))
    for subset, slab in slabs(116).items():
        (case,) = layout.split(subset)
        assert case.name == {'train': 'front', 'val': 'rear'}[subset]
        for path, volume in ((case.images[0], image), (case.labels, labels)):
            part = nibabel.load(path)
            assert np.array_equal(np.asarray(part.dataobj), volume[:, slab])
            first = part.affine @ [0, 0, 0, 1]
            assert np.array_equal(first, whole.affine @ [0, slab.start, 0, 1])
            assert part.header['sform_code'] == whole.header['sform_code']


def test_unknown_name():
    with pytest.raises(ValueError, match='known: brain_slices, brain_slices_disturbed, brain'):
        write_sample('heart', '/nowhere')
