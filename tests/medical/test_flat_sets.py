"""Converters of 2-D sets: each published layout, and what is wrong in one."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image

pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.medical.converters import CONVERTERS, find_converter
from mamba_dense.medical.flat_convert import Picture, deal


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def colours(size=(20, 24)):
    return np.random.randint(0, 256, (*size, 3), np.uint8)


def mask(size=(20, 24), values=(0, 255)):
    found = np.full(size, values[0], np.uint8)
    for n, value in enumerate(values):
        found[n] = value
    return found


def run(layout, folder, out, **options):
    """Problems of a check, then what was written."""
    converter = find_converter(layout)
    problems = list(converter.problems(converter.find(folder)))
    try:
        counts, left_out, notes = converter.write(converter.find(folder), out, **options)
        return problems, counts, left_out + notes
    except DataError as error:
        return problems, None, error.problems


def files(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob('*.*') if path.is_file())


def labels(path):
    return np.array(Image.open(path))


def isic_tasks(root, count=4):
    for n in range(count):
        save(root / 'ISIC2018_Task1-2_Training_Input' / f'ISIC_{n:07d}.jpg', colours())
        truth = root / 'ISIC2018_Task1_Training_GroundTruth' / f'ISIC_{n:07d}_segmentation.png'
        save(truth, mask())
    save(root / 'ISIC2018_Task1-2_Training_Input' / 'ISIC_0000000_superpixels.png', colours())
    return root


def test_isic_as_the_challenge_has_it(tmp_path):
    source = isic_tasks(tmp_path / 'in')
    problems, counts, left_out = run('isic', source, tmp_path / 'out')
    assert (problems, left_out) == ([], [])
    assert counts == {'train': 3, 'val': 1}
    written = files(tmp_path / 'out')
    assert len([name for name in written if name.startswith('img_dir')]) == 4
    assert all(name.endswith('.jpg') for name in written if name.startswith('img_dir'))
    one = next((tmp_path / 'out' / 'ann_dir' / 'val').iterdir())
    np.testing.assert_array_equal(labels(one), mask() // 255)
    classes = json.loads((tmp_path / 'out' / 'classes.json').read_text())
    assert classes == {'classes': ['skin', 'lesion']}


def test_isic_as_vm_unet_distributes_it(tmp_path):
    for subset, marked in (('train', '_segmentation'), ('val', '')):
        for n in range(2):
            save(tmp_path / 'in' / subset / 'images' / f'{subset}{n}.png', colours())
            save(tmp_path / 'in' / subset / 'masks' / f'{subset}{n}{marked}.png', mask())
    problems, counts, left_out = run('isic', tmp_path / 'in', tmp_path / 'out')
    assert (problems, left_out, counts) == ([], [], {'train': 2, 'val': 2})
    assert (tmp_path / 'out' / 'ann_dir' / 'train' / 'train0.png').is_file()


def test_bad_pictures_are_listed_and_the_rest_is_written(tmp_path):
    source = isic_tasks(tmp_path / 'in', 8)
    images, truth = sorted(source.iterdir())
    (truth / 'ISIC_0000000_segmentation.png').unlink()
    save(truth / 'ISIC_0000001_segmentation.png', mask(values=(0, 128, 255)))
    broken = images / 'ISIC_0000002.jpg'
    broken.write_bytes(broken.read_bytes()[:200])
    save(truth / 'ISIC_0000003_segmentation.png', mask((20, 20)))
    save(images / 'ISIC_0000004.png', colours())
    (images / 'ISIC_0000004.jpg').unlink()
    (images / 'ISIC_0000005.jpg').unlink()
    problems, counts, left_out = run('isic', source, tmp_path / 'out')
    assert sorted(problems) == sorted(left_out)
    text = '\n'.join(problems)
    for part in (
        'ISIC_0000000.jpg: no mask',
        'label 128 outside the classes; allowed: 0, 1, 255',
        'ISIC_0000002.jpg: not a readable image',
        'ISIC_0000003_segmentation.png 20x20',
        'ISIC_0000004.png: its name is there twice, or its suffix',
        'ISIC_0000005_segmentation.png: its image is missing',
    ):
        assert part in text
    assert len(problems) == 6
    assert counts == {'train': 1, 'val': 1}
    assert len(files(tmp_path / 'out')) == 5


def test_both_conventions_of_chest_masks(tmp_path):
    left, right = mask(), mask()[::-1]
    root = tmp_path / 'in'
    save(root / 'MontgomerySet' / 'CXR_png' / 'MCUCXR_0001_0.png', colours()[:, :, 0])
    for side, one in (('leftMask', left), ('rightMask', right)):
        save(root / 'MontgomerySet' / 'ManualMask' / side / 'MCUCXR_0001_0.png', one > 0)
    for n in range(9):
        save(root / 'ChinaSet' / 'CXR_png' / f'CHNCXR_{n}_0.png', colours())
        save(root / 'ChinaSet' / 'mask' / f'CHNCXR_{n}_0_mask.png', np.dstack([mask()] * 3))
    problems, counts, left_out = run('chest-xray', root, tmp_path / 'out')
    assert (problems, left_out) == ([], [])
    assert counts == {'train': 7, 'val': 1, 'test': 2}
    (united,) = (tmp_path / 'out' / 'ann_dir').rglob('MCUCXR_0001_0.png')
    np.testing.assert_array_equal(labels(united), ((left > 0) | (right > 0)).astype(np.uint8))
    (root / 'MontgomerySet' / 'ManualMask' / 'leftMask' / 'MCUCXR_0001_0.png').unlink()
    (root / 'ChinaSet' / 'mask' / 'CHNCXR_3_0_mask.png').unlink()
    problems, counts, left_out = run('chest-xray', root, tmp_path / 'less')
    assert problems == left_out
    assert 'there must be one, or leftMask and rightMask' in '\n'.join(problems)
    assert 'CHNCXR_3_0.png: no mask' in '\n'.join(problems)
    assert sum(counts.values()) == 8


def nnunet(root, channels=('R', 'G', 'B'), count=5):
    for n in range(count):
        save(root / 'imagesTr' / f'cell_{n}_0000.png', colours())
        save(root / 'labelsTr' / f'cell_{n}.png', mask(values=(0, 1, 2)))
    save(root / 'imagesTs' / 'cell_9_0000.png', colours())
    save(root / 'labelsTs' / 'cell_9.png', mask(values=(0, 1, 2)))
    content = {
        'channel_names': {str(n): name for n, name in enumerate(channels)},
        'labels': {'background': 0, 'interior': 1, 'boundary': 2},
        'numTraining': count,
        'file_ending': '.png',
    }
    (root / 'dataset.json').write_text(json.dumps(content))
    return root


def test_raw_layout_with_pictures(tmp_path):
    """All channels in one file, as colour pictures are stored, or one file for each."""
    source = nnunet(tmp_path / 'in')
    problems, counts, left_out = run('nnunet-png', source, tmp_path / 'out')
    assert (problems, left_out) == ([], [])
    assert counts == {'train': 4, 'val': 1, 'test': 1}
    assert labels(tmp_path / 'out' / 'ann_dir' / 'test' / 'cell_9.png').max() == 2
    for path in [*source.glob('images*/*.png')]:
        picture = labels(path)
        for n in range(3):
            save(path.with_name(path.name.replace('_0000', f'_000{n}')), picture[:, :, n])
    _, counts, _ = run('nnunet-png', source, tmp_path / 'joined')
    assert counts == {'train': 4, 'val': 1, 'test': 1}
    for path in (tmp_path / 'joined' / 'img_dir').rglob('*.png'):
        original = tmp_path / 'out' / path.relative_to(tmp_path / 'joined')
        np.testing.assert_array_equal(labels(path), labels(original))


def test_raw_layout_with_faults(tmp_path):
    source = nnunet(tmp_path / 'in')
    (source / 'labelsTr' / 'cell_0.png').unlink()
    save(source / 'labelsTr' / 'cell_1.png', mask(values=(0, 3)))
    problems, counts, left_out = run('nnunet-png', source, tmp_path / 'out')
    assert problems == left_out
    assert len(problems) == 2
    assert 'label 3 outside the classes; allowed: 0, 1, 2' in problems[1]
    assert sum(counts.values()) == 4
    (source / 'dataset.json').write_text('{')
    problems, counts, _ = run('nnunet-png', source, tmp_path / 'none')
    assert counts is None
    assert 'not JSON' in problems[0]


def synapse(root):
    (root / 'lists').mkdir(parents=True)
    (root / 'train_npz').mkdir()
    (root / 'test_vol_h5').mkdir()
    names = [f'case0005_slice{n:03d}' for n in range(3)]
    (root / 'lists' / 'train.txt').write_text('\n'.join(names) + '\n')
    (root / 'lists' / 'test_vol.txt').write_text('case0001\n')
    image = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    label = np.arange(48).reshape(6, 8) % 9
    for name in names:
        np.savez(root / 'train_npz' / f'{name}.npz', image=image, label=label.astype(np.float32))
    with h5py.File(root / 'test_vol_h5' / 'case0001.npy.h5', 'w') as content:
        content['image'] = np.stack([image] * 4)
        content['label'] = np.stack([label] * 4).astype(np.float32)
    return root, image, label


def test_synapse_slices(tmp_path):
    source, image, label = synapse(tmp_path / 'in')
    problems, counts, left_out = run('synapse-slices', source, tmp_path / 'out')
    assert (problems, left_out, counts) == ([], [], {'train': 3, 'val': 4})
    assert 'img_dir/val/case0001_slice003.png' in files(tmp_path / 'out')
    for name in ('train/case0005_slice001.png', 'val/case0001_slice002.png'):
        stored = labels(tmp_path / 'out' / 'img_dir' / name)
        np.testing.assert_allclose(stored / 65535, image, atol=1e-5)
        np.testing.assert_array_equal(labels(tmp_path / 'out' / 'ann_dir' / name), label)


def test_synapse_with_faults(tmp_path):
    source, image, label = synapse(tmp_path / 'in')
    (source / 'lists' / 'train.txt').write_text(
        '\n'.join([f'case0005_slice{n:03d}' for n in range(7)])
    )
    train = source / 'train_npz'
    (train / 'case0005_slice000.npz').write_bytes(b'PK\x03\x04 cut off')
    np.savez(train / 'case0005_slice001.npz', image=image * 300, label=label)
    np.savez(train / 'case0005_slice003.npz', image=image, label=label + 6)
    np.savez(train / 'case0005_slice004.npz', image=np.full_like(image, np.nan), label=label)
    np.savez(train / 'case0005_slice005.npz', image=image)
    (source / 'test_vol_h5' / 'case0001.npy.h5').write_bytes(b'')
    problems, counts, left_out = run('synapse-slices', source, tmp_path / 'out')
    assert problems == left_out
    text = '\n'.join(problems)
    for part in (
        'names case0005_slice006, but there is no',
        'slice000.npz: not readable',
        'intensities 0 to 300',
        'slice003.npz: labels [9.0, 10.0, 11.0, 12.0, 13.0, 14.0]; allowed: 0 to 8',
        'slice004.npz: 48 voxels are NaN or inf',
        "slice005.npz: holds ['image']",
        'case0001.npy.h5: not readable',
    ):
        assert part in text
    assert len(problems) == 7
    assert counts == {'train': 1, 'val': 0}


@pytest.mark.parametrize('layout', ['isic', 'chest-xray', 'nnunet-png', 'synapse-slices'])
def test_refusals(layout, tmp_path):
    (tmp_path / 'empty').mkdir()
    problems, counts, _ = run(layout, tmp_path / 'empty', tmp_path / 'out')
    assert problems
    assert counts is None
    assert not (tmp_path / 'out').exists()
    source = isic_tasks(tmp_path / 'in')
    (tmp_path / 'out' / 'img_dir').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='holds data already'):
        run(layout, source, tmp_path / 'out')
    with pytest.raises(ValueError, match=r'val_share=1\.5'):
        run(layout, source, tmp_path / 'other', val_share=1.5)


def test_an_unknown_layout_names_the_known():
    with pytest.raises(ValueError, match=r"layout='isic2' is unknown; known: isic, chest-xray"):
        find_converter('isic2')
    assert {'lits', 'acdc', 'nnunet', 'synapse-volumes'} <= {*CONVERTERS}


@pytest.mark.parametrize(
    ('count', 'expected'), [(1, (1, 0, 0)), (2, (1, 1, 0)), (704, (493, 70, 141))]
)
def test_shares(count, expected):
    """LightM-UNet's 704 X-rays: 493 train."""
    pictures = [Picture(str(n), (), ()) for n in range(count)]
    shares = {'train': 0.7, 'val': 0.1, 'test': 0.2}
    subsets = [subset for _, subset in deal(pictures, shares, 0)]
    assert tuple(subsets.count(name) for name in shares) == expected
    assert deal(pictures, shares, 0) == deal(pictures, shares, 0)
