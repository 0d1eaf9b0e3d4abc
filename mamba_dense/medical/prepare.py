"""Writing the bundled brain as slices in mmseg's layout: img_dir/{train,val} beside ann_dir."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from mamba_dense import samples
from mamba_dense.medical.brain import disturbed, read_brain, slabs

SAMPLES = ('brain_slices', 'brain_slices_disturbed')


def write_sample(name: str, out: str | Path) -> Path:
    """Write the slices of the parts that train and validate as PNGs of 8 bits; `out`.

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
    if name == 'brain_slices_disturbed':
        image = disturbed(image)
    image = image.round().astype(np.uint8)
    for subset, slab in slabs(image.shape[1]).items():
        for folder, volume in (('img_dir', image), ('ann_dir', labels)):
            target = out / folder / subset
            target.mkdir(parents=True, exist_ok=True)
            for y in range(slab.start, slab.stop):
                # rows from top to bottom
                Image.fromarray(volume[:, y, ::-1].T).save(target / f'y{y:03d}.png')
    classes = {'classes': samples.splits()['brain']['classes']}
    (out / 'classes.json').write_text(json.dumps(classes, indent=2) + '\n')
    return out
