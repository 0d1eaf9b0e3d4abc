"""Detection is loaded for detection alone: the segmentation path never imports mmdet."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(code):
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


# refuses mmdet and notes which module asked for it: mmseg itself tries, for its MaskFormer heads
_WATCH = """
import sys
asked = set()
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] != 'mmdet':
            return None
        frame = sys._getframe(1)
        while 'importlib' in frame.f_globals.get('__name__', ''):
            frame = frame.f_back
        asked.add(frame.f_globals['__name__'])
        raise ModuleNotFoundError(name)
"""


def test_segmentation_never_imports_mmdet():
    """Network, checks, scores, optimizer: no module of ours asks for mmdet, nor for detection."""
    pytest.importorskip('mmseg', reason='needs the extra seg')
    code = _WATCH + (
        'from mmengine.config import Config\n'
        'from mmengine.optim import build_optim_wrapper\n'
        'from mmengine.registry import METRICS, MODELS, TRANSFORMS, init_default_scope\n'
        'import mamba_dense.apis, mamba_dense.engine.train, mamba_dense.segmentation.guard\n'
        'import mamba_dense.registry as registry\n'
        "there = registry.find_spec('mmseg')\n"
        '# both frameworks seem to be installed, as they are to a user of both\n'
        'registry.find_spec = lambda name: there\n'
        'sys.meta_path.insert(0, Watch())\n'
        "cfg = Config.fromfile('configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py')\n"
        "init_default_scope('mmseg')\n"
        'model = MODELS.build(cfg.model)\n'
        "TRANSFORMS.build({'type': 'mamba_dense.CheckSample', 'classes': 2, 'channels': 3})\n"
        'METRICS.build(cfg.val_evaluator)\n'
        'build_optim_wrapper(model, cfg.optim_wrapper)\n'
        "ours = {name for name in asked if not name.startswith(('mmseg.', 'mmengine.'))}\n"
        "print(ours, 'mamba_dense.detection' in sys.modules)"
    )
    assert run(code) == 'set() False'


def test_an_unknown_type_is_refused_by_name():
    code = (
        'from mamba_dense.registry import METRICS\n'
        "try:\n    METRICS.build({'type': 'mamba_dense.Nothing'})\n"
        'except KeyError as error:\n    print(str(error)[:60])'
    )
    assert "'mamba_dense.Nothing' is not a metric of mamba_dense" in run(code)
