"""The bundled brain through plan, train, test and infer: four commands a user would type."""

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.fingerprint import read_fingerprint
from mamba_dense.medical.layout import read_layout
from mamba_dense.medical.plan import make_plan
from mamba_dense.medical.plan_config import write_config
from mamba_dense.medical.prepare import write_sample

from ..medical.volumes import raw_folder, spoil
from .training import ROOT, outside


def run(tool, *arguments, cwd, code=0):
    command = [sys.executable, str(ROOT / 'tools' / f'{tool}.py'), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=outside(), capture_output=True, text=True, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.full
def test_four_commands(tmp_path):
    write_sample('brain', tmp_path / 'brain')
    options = ('--network', 'monai', '--width', 8, '--memory', 0.25, '--iterations', 2)
    run('plan', 'brain', '--out', 'mine.py', *options, cwd=tmp_path)
    run('train', 'mine.py', cwd=tmp_path)
    checkpoint = 'work_dirs/mine/iter_2.pth'
    run('test', 'mine.py', checkpoint, '--out', 'scores.json', cwd=tmp_path)
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert any(key.endswith('Dice.grey matter') for key in scores)
    case = tmp_path / 'brain' / 'imagesTr' / 'rear_0000.nii.gz'
    run(
        *('infer', case, '--model', 'mine.py', '--checkpoint', checkpoint, '--out', 'found'),
        cwd=tmp_path,
    )
    image, mask = nibabel.load(case), nibabel.load(tmp_path / 'found' / 'rear.nii.gz')
    assert mask.shape == image.shape
    assert np.array_equal(mask.affine, image.affine)
    assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1, 2}
    table = (tmp_path / 'found' / 'volumes.csv').read_text()
    assert 'rear,grey matter,' in table


def test_bad_data_is_refused_before_any_work(tmp_path):
    layout = read_layout(raw_folder(tmp_path / 'raw', cases=6))
    plan = make_plan(read_fingerprint(layout), network='monai', memory=1, width=8)
    write_config(tmp_path / 'mine.py', layout, plan, network='monai', iterations=1)
    expected = spoil(tmp_path / 'raw')
    for refused in (
        run('train', 'mine.py', cwd=tmp_path, code=1),
        run('prepare_data', 'check', 'raw', cwd=tmp_path, code=1),
    ):
        assert 'Traceback' not in refused.stderr
        for start in expected:
            assert start in refused.stderr, start
    assert not (tmp_path / 'work_dirs').exists()
