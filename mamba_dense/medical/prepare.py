"""Writing the bundled brain: slices in mmseg's layout, volumes in nnU-Net's raw layout."""

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from mamba_dense import samples
from mamba_dense.medical.brain import disturbed, read_brain, slabs
from mamba_dense.medical.layout import write_dataset_json, write_splits
from mamba_dense.medical.slices import picture

SAMPLES = ('brain_slices', 'brain_slices_disturbed', 'brain', 'brain_disturbed')
# part of `slabs` -> the case of the volumes
_CASES = {'train': 'front', 'val': 'rear'}


def write_sample(name: str, out: str | Path) -> Path:
    """Write the parts of the brain that train and validate; `out`.

    Slices are PNGs of 8 bits, volumes the NIfTI cases `front` and `rear`, each at its place in
    space.

    Args:
        name: one of `SAMPLES`: the volume as it is, or under `brain.disturbed`.
        out: folder to write to.

    Raises:
        ValueError: unknown name; lists what is known.
    """
    if name not in SAMPLES:
        raise ValueError(f'name={name!r} is not a medical sample; known: {", ".join(SAMPLES)}')
    out = Path(out)
    image, labels = read_brain()
    if name.endswith('_disturbed'):
        image = disturbed(image)
    write = _write_slices if name.startswith('brain_slices') else _write_volumes
    write(image.round().astype(np.uint8), labels, out)
    return out


def _write_slices(image: np.ndarray, labels: np.ndarray, out: Path) -> None:
    """img_dir/{train,val} beside ann_dir, and classes.json."""
    for subset, slab in slabs(image.shape[1]).items():
        for folder, volume in (('img_dir', image), ('ann_dir', labels)):
            target = out / folder / subset
            target.mkdir(parents=True, exist_ok=True)
            for y in range(slab.start, slab.stop):
                Image.fromarray(picture(volume, 1, y)).save(target / f'y{y:03d}.png')
    classes = {'classes': samples.splits()['brain']['classes']}
    (out / 'classes.json').write_text(json.dumps(classes, indent=2) + '\n')


def _write_volumes(image: np.ndarray, labels: np.ndarray, out: Path) -> None:
    """imagesTr and labelsTr with a case for each part, dataset.json and splits.json."""
    split = samples.splits()['brain']
    for folder, volume, key, channel in (
        ('imagesTr', image, 'image', '_0000'),
        ('labelsTr', labels, 'labels', ''),
    ):
        (out / folder).mkdir(parents=True, exist_ok=True)
        source = nibabel.load(samples.path(split[key]))
        whole = nibabel.Nifti1Image(volume, source.affine, source.header)
        for subset, slab in slabs(volume.shape[1]).items():
            part = whole.slicer[:, slab, :]  # moves the origin of the affine along
            nibabel.save(part, out / folder / f'{_CASES[subset]}{channel}.nii.gz')
    write_dataset_json(out, channels=('MRI',), classes=split['classes'], cases=len(_CASES))
    write_splits(out, train=[_CASES['train']], val=[_CASES['val']])
