"""tools/demo.py: a short one writes the report with its pictures and figures."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('mmseg', reason='needs the extra seg')


@pytest.mark.parametrize(
    'detection', [False, pytest.param(True, marks=pytest.mark.full)], ids=['plain', 'detection']
)
def test_short_demo(root, tmp_path, detection):
    command = [sys.executable, root / 'tools/demo.py', '--out', tmp_path, '--iterations', '4']
    command += ['--detection'] if detection else []
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert ('[8/8]' if detection else '[5/5]') in done.stdout
    page = (tmp_path / 'report.html').read_text()
    assert page.count('<img') >= 10 and '<svg' in page and 'http' not in page
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert 0 <= figures['dice_nucleus'] <= 1
    # one threshold on the blurred picture, as measured when the data was chosen: 0.889
    assert figures['dice_threshold'] == pytest.approx(0.889, abs=0.01)
    if detection:
        assert 0 <= figures['detectors']['vmamba-nano_mask-rcnn_nuclei']['segm_mAP_50'] <= 100
        assert 'found as' in page and '28 labelled objects' in page
    pictures = sorted(p.relative_to(tmp_path / 'overlays') for p in tmp_path.rglob('overlays/*/*'))
    assert len(pictures) == 5
