"""Tiny volumes in nnU-Net's raw layout, made for tests."""

import nibabel
import numpy as np

from mamba_dense.medical.layout import write_dataset_json

SHAPE = (8, 9, 7)
CLASSES = ('background', 'x', 'y')


def save(path, data, spacing=(1, 1, 2)):
    """Write an array as NIfTI with these distances in mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(data), np.diag((*spacing, 1.0))), path)
    return path


def mask(shape=SHAPE, classes=3):
    """A mask in which every class has a slab, thinner ones last."""
    labels = np.zeros(shape, np.uint8)
    for number in range(1, classes):
        labels[shape[0] * number // classes :] = number
    return labels


def image(labels, seed=0):
    """An image whose classes differ in brightness; background of the outer planes is 0."""
    noise = np.random.default_rng(seed).normal(0, 5, labels.shape)
    values = (50 + 100 * labels + noise).clip(1).astype(np.float32)
    values[:, :, [0, -1]] = 0
    return values


def raw_folder(root, cases=4, channels=('MRI',), spacing=(1, 1, 2), shape=SHAPE):
    """Write so many cases a, b, c, ... with every class of `CLASSES` in each."""
    for n in range(cases):
        name, labels = chr(ord('a') + n), mask(shape)
        for channel in range(len(channels)):
            path = root / 'imagesTr' / f'{name}_{channel:04d}.nii.gz'
            save(path, image(labels, seed=10 * n + channel), spacing)
        save(root / 'labelsTr' / f'{name}.nii.gz', labels, spacing)
    write_dataset_json(root, channels=channels, classes=CLASSES, cases=cases)
    return root


def spoil(root):
    """Make one case of each kind wrong in a folder of five: what the messages must say of each."""
    (root / 'labelsTr' / 'a.nii.gz').unlink()
    whole = (root / 'imagesTr' / 'b_0000.nii.gz').read_bytes()
    (root / 'imagesTr' / 'b_0000.nii.gz').write_bytes(whole[: len(whole) // 2])
    save(root / 'labelsTr' / 'c.nii.gz', mask() + 7)
    save(root / 'labelsTr' / 'd.nii.gz', mask((4, 4, 4)))
    return (
        'a.nii.gz: missing, the mask of',
        'b_0000.nii.gz: cannot be read',
        'c.nii.gz: label 7, 8, 9 in',
        'd.nii.gz: has the shape (4, 4, 4)',
    )
