"""Parts of volumes: the same mask as at once, within the memory that the formula states."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from mamba_dense.apis.volume_parts import part_bytes, plan_parts, predict_parts, window_starts
from mamba_dense.medical.preparation import Preparation
from mamba_dense.medical.volume import Volume

from .volumes import segmentor


def prepared(shape, spacing=None, axes=(0, 1, 2), channels=1):
    data = np.random.default_rng(0).normal(size=(channels, *shape)).astype(np.float32)
    volume = Volume(data, np.eye(4), Path('a.nii.gz'))
    return Preparation(spacing, axes, channels * [{'kind': 'zscore'}]).prepare(volume)


@pytest.mark.parametrize('length', [3, 8, 9, 12, 16, 29, 40])
@pytest.mark.parametrize('side, overlap', [(8, 0.5), (8, 0.25), (8, 0.0), (5, 0.6), (1, 0.9)])
def test_windows_are_monais(length, side, overlap):
    interval = _get_scan_interval((max(length, side),), (side,), 1, (overlap,))
    slices = dense_patch_slices((max(length, side),), (side,), interval)
    assert window_starts(length, side, overlap) == tuple(part[0].start for part in slices)


@pytest.mark.parametrize('overlap', [0.5, 0.25, 0.0])
@pytest.mark.parametrize(
    'shape, spacing, axes',
    [
        ((45, 20, 17), None, (0, 1, 2)),
        ((37, 21, 18), (0.8, 1.1, 1.3), (2, 0, 1)),
        ((40, 6, 33), (1.0, 1.0, 0.7), (0, 1, 2)),
    ],
    ids=['plain', 'resampled', 'below the window'],
)
def test_parts_give_the_mask_of_the_whole(shape, spacing, axes, overlap):
    model, case = segmentor((8, 8, 8), overlap=overlap), prepared(shape, spacing, axes)
    geometry, options = case.geometry, ((8, 8, 8), overlap, 1, 3)
    whole = plan_parts(geometry, *options, float('inf'))
    assert [len(spans) for spans in whole] == [1, 1, 1]
    expected = predict_parts(model, case, whole)
    assert {0, 1, 2} == set(np.unique(expected))
    all_of_it = part_bytes(1, 3, [spans[0] for spans in whole])
    for share in (0.9, 0.7):
        cut = plan_parts(geometry, *options, share * all_of_it)
        assert sum(len(spans) for spans in cut) > 3
        found = predict_parts(model, case, cut, on_part=lambda done, total: None)
        assert np.array_equal(found, expected), share


def test_parts_along_every_axis():
    case = prepared((40, 40, 40))
    whole = plan_parts(case.geometry, (8, 8, 8), 0.5, 1, 3, float('inf'))
    budget = part_bytes(1, 3, [spans[0] for spans in whole]) / 40
    cut = plan_parts(case.geometry, (8, 8, 8), 0.5, 1, 3, budget)
    assert min(len(spans) for spans in cut) > 1
    model = segmentor((8, 8, 8))
    shown = []
    found = predict_parts(model, case, cut, (0, 2), lambda done, total: shown.append((done, total)))
    assert np.array_equal(found, predict_parts(model, case, whole, (0, 2)))
    assert shown[-1][0] == shown[-1][1] == len(shown) == np.prod([len(spans) for spans in cut])


def test_slices_cost_nothing_twice():
    case = prepared((12, 20, 20))
    model = segmentor((16, 16))
    whole = plan_parts(case.geometry, (16, 16), 0.5, 1, 3, float('inf'))
    size = part_bytes(1, 3, [spans[0] for spans in whole])
    cut = plan_parts(case.geometry, (16, 16), 0.5, 1, 3, size / 3.9)
    assert [len(spans) for spans in cut] == [4, 1, 1]
    assert all(span.box == span.part for span in cut[0])
    assert np.array_equal(predict_parts(model, case, cut), predict_parts(model, case, whole))


def test_what_cannot_fit():
    case = prepared((40, 40, 40))
    with pytest.raises(MemoryError, match=r'the smallest part .* takes .* GB, 1e-05 GB are left'):
        plan_parts(case.geometry, (8, 8, 8), 0.5, 1, 3, 1e4)


def test_scores_of_another_size():
    class Broken(torch.nn.Module):
        def predict_scores(self, image, mirror_axes=()):
            return image[:, 1:]

    case = prepared((8, 8, 8))
    with pytest.raises(RuntimeError, match=r'scores \(7, 8, 8\) for a volume of \(8, 8, 8\)'):
        predict_parts(Broken(), case, plan_parts(case.geometry, (8, 8, 8), 0.5, 1, 3, 1e9))


# a process of its own predicts a small case, then a large one in parts, then at once
MEASURE = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.apis.volumes import segmentor, write_case
from mamba_dense.apis.volume import VolumeOptions, infer_volume

def memory(key):
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))

folder, side, classes, limit = sys.argv[2], *map(int, sys.argv[3:])
model = segmentor((16, 16, 16), classes, overlap=0.25)
infer_volume(model, write_case(folder + '/small.nii.gz', (40, 40, 40)))
case = write_case(folder + '/large.nii.gz', (side, side, side))
grown, parts = [], []
for allowed in (limit, None):
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
    before = memory('VmRSS')
    parts.append(infer_volume(model, case, VolumeOptions(max_memory=allowed)).parts)
    grown.append(memory('VmHWM') - before)
print(json.dumps({'bytes': grown, 'parts': parts}))
"""


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='needs the peaks of Linux')
def test_memory_is_bounded(root, tmp_path):
    side, classes, limit = 96, 24, 30_000_000
    call = [sys.executable, '-c', MEASURE, root, tmp_path, *map(str, (side, classes, limit))]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(f'limit {limit / 1e6} MB: {found}')
    assert found['parts'][0] > 1 and found['bytes'][0] < 1.1 * limit
    # 4 (N + M) + 2 N + 4 (K + 2) n + 16 v, all of them 96**3
    at_once = (10 + 4 * (classes + 2) + 16) * side**3
    assert found['parts'][1] == 1 and 2 * limit < found['bytes'][1] < 1.1 * at_once
