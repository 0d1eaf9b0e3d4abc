"""Tiny cases in nnU-Net's raw layout, written for tests."""

import nibabel
import numpy as np

from mamba_dense.medical.layout import write_dataset_json, write_splits

SPACING = (1.0, 1.5, 2.0)


def cube(shape, seed):
    """An image (X, Y, Z) of noise with a brighter block, and the block's mask."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    low = [random.integers(1, n // 3) for n in shape]
    labels[tuple(slice(a, a + n // 2) for a, n in zip(low, shape, strict=True))] = 1
    image = 100 + 10 * random.standard_normal(shape) + 60 * labels
    return image.astype(np.float32), labels


def write_cases(root, names=('a', 'b', 'c'), shape=(12, 14, 10), masks=True):
    """A folder whose last case validates."""
    affine = np.diag([*SPACING, 1.0])
    for folder in ('imagesTr', 'labelsTr'):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(names):
        image, labels = cube(shape, seed)
        nibabel.save(nibabel.Nifti1Image(image, affine), root / 'imagesTr' / f'{name}_0000.nii.gz')
        if masks:
            nibabel.save(nibabel.Nifti1Image(labels, affine), root / 'labelsTr' / f'{name}.nii.gz')
    write_dataset_json(root, channels=('MRI',), classes=('background', 'block'), cases=len(names))
    write_splits(root, names[:-1], names[-1:])
    return root
