"""Change detection is loaded for change detection alone, and without the rest of its extra."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mmseg', reason='needs the extra change')

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_imported_when():
    code = (
        'import sys\n'
        "sys.modules.update(dict.fromkeys(['albumentations', 'rasterio', 'mmdet']))\n"
        'from mmengine.registry import init_default_scope\n'
        'from mamba_dense.registry import MODELS, TRANSFORMS\n'
        "init_default_scope('mmseg')\n"
        "TRANSFORMS.build({'type': 'mamba_dense.CheckSample', 'classes': 2, 'channels': 3})\n"
        "before = 'mamba_dense.change' in sys.modules\n"
        "backbone = {'type': 'mamba_dense.VMamba', 'arch': 'nano'}\n"
        "MODELS.build({'type': 'mamba_dense.MambaBCD', 'backbone': backbone})\n"
        "print(before, 'mamba_dense.change' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ['False', 'True']


def test_scenes_need_no_other_task():
    """Configs of change detection have the library's own scope."""
    code = (
        'import sys\n'
        'from mmengine.registry import init_default_scope\n'
        'from mamba_dense.registry import DATASETS\n'
        "init_default_scope('mamba_dense')\n"
        "DATASETS.build({'type': 'mamba_dense.ChangeScenes', 'task': 'bcd', 'length': 1})\n"
        "print(*(f'mamba_dense.{task}' in sys.modules for task in ('detection', 'medical')))"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ['False', 'False']
