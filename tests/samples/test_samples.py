"""The bundled data: every file that splits.json names is there, and the splits do not overlap."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mamba_dense import samples


def named(node):
    """Every bundled file mentioned in splits.json."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from named(key)
            yield from named(value)
    elif isinstance(node, str) and '/' in node:
        yield node


def test_files_of_the_splits_exist():
    files = set(named(samples.splits()))
    assert files <= set(samples.names())
    assert all(samples.path(file).stat().st_size for file in files)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="name='nuclei/gone.png' is not bundled; known: brain/t1"):
        samples.path('nuclei/gone.png')


def test_nuclei():
    split = samples.splits()['nuclei']
    instances = np.array(Image.open(samples.path(split['instances'])))
    assert instances.shape == np.array(Image.open(samples.path(split['image']))).shape == (512, 512)
    assert len(np.unique(instances)) == 126
    seen = np.zeros((512, 512), int)
    for subset in ('train', 'val'):
        for left, top, right, bottom in split[subset]['boxes_xyxy']:
            seen[top:bottom, left:right] += 1
    assert (seen == 1).all()
    assert split['val']['boxes_xyxy'] == [[256, 256, 512, 512]]


def test_trees():
    with open(samples.path('trees/boxes.csv')) as file:
        images = {row['image'] for row in csv.DictReader(file)}
    assert {f'trees/{image}' for image in images} <= set(samples.names())


def test_licences_name_every_folder():
    text = (samples.path('nuclei').parent / 'LICENSES.md').read_text()
    assert all(f'{name.split("/")[0]}/' in text for name in samples.names())


def test_needs_the_standard_library_alone():
    code = 'import sys, mamba_dense.samples; sys.exit(bool({"torch", "numpy"} & {*sys.modules}))'
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, '-c', code], cwd=root, check=False).returncode == 0
