"""tools/infer.py: results on the disk, bad pictures reported, the others predicted."""

import csv
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra seg')

from mamba_dense.apis import init_model
from mamba_dense.apis.folder import Options, predict_folder, result_names

NANO = 'vmamba-nano_upernet_nuclei-128x128'


@pytest.fixture(scope='module')
def model():
    return init_model(NANO, device='cpu')


@pytest.fixture
def folder(tmp_path):
    """Two good pictures between two bad ones."""
    inside = tmp_path / 'in'
    (inside / 'sub').mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (40, 52, 3), np.uint8)
    cv2.imwrite(str(inside / 'b.png'), picture)
    cv2.imwrite(str(inside / 'sub' / 'd.png'), picture[:, :, 0])
    (inside / 'a.png').write_bytes(b'')
    (inside / 'c.png').write_bytes(b'no picture')
    return inside


def test_folder(model, folder, tmp_path):
    out = tmp_path / 'out'
    outcomes = list(predict_folder(model, folder, out, Options()))
    assert [bool(outcome.error) for outcome in outcomes] == [True, False, True, False]
    assert all(str(o.path) in o.error for o in outcomes if o.error)
    for kind, channels in (('masks', 2), ('overlays', 3)):
        for name in ('b.png', 'sub/d.png'):
            written = cv2.imread(str(out / kind / name), cv2.IMREAD_UNCHANGED)
            assert written.shape[:2] == (40, 52) and written.ndim == channels
    rows = list(csv.DictReader((out / 'summary.csv').open()))
    shares = [float(row['share']) for row in rows if row['picture'].endswith('b.png')]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert sum(bool(row['error']) for row in rows) == 2
    assert not list(out.rglob('*.part'))


def test_results_inside_the_source_are_not_predicted(model, folder):
    list(predict_folder(model, folder, folder / 'out', Options()))
    again = list(predict_folder(model, folder, folder / 'out', Options()))
    assert len(again) == 4


def test_names_never_collide(tmp_path):
    names = result_names([tmp_path / 'a.jpg', tmp_path / 'a.png', tmp_path / 'b.png'], tmp_path)
    assert names == ['a.jpg.png', 'a.png.png', 'b.png']
    assert result_names([tmp_path / 'a.jpg'], tmp_path / 'a.jpg') == ['a.png']


def test_the_disk_refuses(model, folder, tmp_path):
    (tmp_path / 'out').write_text('a file where the folder should be')
    with pytest.raises(OSError, match='out'):
        list(predict_folder(model, folder, tmp_path / 'out', Options()))


def call(root, *words):
    command = [sys.executable, root / 'tools/infer.py', *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_command(root, folder, tmp_path):
    done = call(root, folder, '--model', NANO, '--out', tmp_path / 'out', '--tile', '32')
    assert done.returncode == 1
    assert '2 of 4 pictures' in done.stdout
    assert '2 failed:' in done.stderr and 'a.png: the file is empty' in done.stderr
    assert 'weights are random' in done.stderr
    assert (tmp_path / 'out/overlays/sub/d.png').is_file()


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (('absent', '--model', NANO), 'absent: no such file or folder'),
        (('--model', NANO), 'required: source'),
        (('absent', '--model', NANO, '--tile', '8', '--overlap', '8'), '0 <= overlap < tile'),
    ],
)
def test_command_refusals(root, words, reason):
    done = call(root, *words)
    assert done.returncode != 0
    assert reason in done.stderr
    assert 'Traceback' not in done.stderr


VOLUMES = """
default_scope = 'mamba_dense'
model = dict(
    type='VolumeSegmentor',
    backbone=dict(type='torch.nn.Conv3d', in_channels=1, out_channels=2, kernel_size=1),
    num_classes=2,
    loss=dict(type='NnUNetLoss'),
    patch_size=[8, 8, 8],
)
preparation = dict(channels=[dict(kind='zscore')])
test_dataloader = dict(dataset=dict(type='CaseDataset', preparation=preparation))
"""


@pytest.fixture
def volumes(tmp_path):
    """A good volume between two bad ones."""
    nibabel = pytest.importorskip('nibabel', reason='needs the extra medical')
    pytest.importorskip('monai', reason='needs the extra medical')
    inside = tmp_path / 'cases'
    inside.mkdir()
    values = np.random.default_rng(0).integers(0, 255, (30, 40, 2), np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 2, 5, 1])), inside / 'b_0000.nii.gz')
    (inside / 'a.nii.gz').write_bytes((inside / 'b_0000.nii.gz').read_bytes()[:-40])
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4, 2)), np.eye(4)), inside / 'c.nii.gz')
    return inside


def test_volumes(root, volumes, tmp_path):
    config, out = tmp_path / 'tiny.py', tmp_path / 'out'
    config.write_text(VOLUMES)
    options = ('--mirror', '--max-memory', '0.01')
    done = call(root, volumes, '--model', config, '--out', out, *options)
    assert done.returncode == 1, done.stderr
    assert '1 of 3 volumes' in done.stdout and 'b: class 1 ' in done.stdout
    assert '2 failed:' in done.stderr and 'a.nii.gz: cannot be read' in done.stderr
    names = sorted(path.name for path in out.iterdir())
    assert names == ['b.nii.gz', 'b_montage.png', 'volumes.csv']


def test_volumes_by_a_network_of_pictures(root, volumes, tmp_path):
    case, out = volumes / 'b_0000.nii.gz', tmp_path / 'out'
    done = call(root, case, '--model', NANO, '--out', out, '--axis', '2')
    assert done.returncode == 0, done.stderr
    assert '1 of 1 volumes' in done.stdout and (out / 'b.nii.gz').is_file()


def test_options_of_volumes(root, folder, tmp_path):
    done = call(root, folder, '--model', NANO, '--out', tmp_path / 'out', '--axis', '2')
    assert done.returncode == 1 and '--axis are of volumes' in done.stderr
