"""tools/setup.py and setup_parts.py: what they check, skip, keep and say."""

import importlib.util
import json
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
FACTS = {
    'torch': '2.13.0',
    'python': 'cp311',
    'cuda': None,
    'nvcc': False,
    'device': False,
    'triton': False,
}
MMCV = 'onedl-mmcv==2.3.6'


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parts():
    yield load('setup_parts')
    del sys.modules['setup_parts']


@pytest.fixture
def steps(parts, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location('project_setup', TOOLS / 'setup.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder, parts, ops=True):
    path = folder / f'onedl_mmcv-2.3.6-cp311-cp311-linux_{parts.platform.machine()}.whl'
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('mmcv/__init__.py', '')
        if ops:
            archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', '')
    return path


class TestMachine:
    @pytest.mark.parametrize('version', [(2, 7), (3, 6), (3, 9)])
    def test_old_python(self, parts, version):
        with pytest.raises(parts.SetupError) as caught:
            parts.check_python(version)
        text = str(caught.value)
        assert 'Python {}.{} is too old'.format(*version) in text and '\n' not in text
        assert 'make setup PYTHON=' in text

    def test_this_python(self, parts):
        parts.check_python((3, 10))
        parts.check_python()

    def test_no_compiler(self, parts, monkeypatch):
        monkeypatch.delenv('CXX', raising=False)
        monkeypatch.setattr(parts.shutil, 'which', lambda name: None)
        with pytest.raises(parts.SetupError, match=r'no C\+\+ compiler: install one') as caught:
            parts.check_compiler()
        assert '\n' not in str(caught.value)

    def test_wrong_cxx(self, parts, monkeypatch):
        monkeypatch.setenv('CXX', 'no-such-compiler -O2')
        with pytest.raises(parts.SetupError, match="CXX names 'no-such-compiler -O2'"):
            parts.check_compiler()

    def test_make_says_one_line(self):
        """A Python that is not there, as a person meets it."""
        root = TOOLS.parent
        command = ['make', 'setup', 'PYTHON=no-such-python']
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "no 'no-such-python': install Python 3.10 or newer" in done.stderr.splitlines()[0]


class TestRequirements:
    def test_nested_extras_once_each(self, steps, tmp_path):
        (tmp_path / 'setup.cfg').write_text(
            '[metadata]\nname = own\n[options]\ninstall_requires =\n  a\n  b>=1\n'
            '[options.extras_require]\none =\n  c\nboth =\n  own[one,two]\n  a\ntwo =\n  d; x\n'
        )
        assert steps.requirements(['both'], tmp_path) == ['a', 'b>=1', 'c', 'd; x']

    def test_unknown_extra(self, steps):
        with pytest.raises(steps.SetupError, match="extra 'sge' is not known; known: seg, det"):
            steps.requirements(['sge'])

    def test_seg_needs_neither_mmdet_nor_torchvision(self, steps):
        text = ' '.join(steps.requirements(['seg']))
        assert MMCV in text and 'onedl-mmsegmentation==1.4.2' in text
        assert 'mmdet' not in text and 'torchvision' not in text and 'timm' not in text


class TestWheel:
    def test_folder_names_torch_python_and_cuda(self, parts, monkeypatch, tmp_path):
        monkeypatch.setenv('MAMBA_DENSE_CACHE', str(tmp_path))
        monkeypatch.delenv('FORCE_CUDA', raising=False)
        folder, env = parts.wheel_folder(FACTS)
        assert folder == tmp_path / 'wheels' / 'torch2.13.0-cp311-cpu'
        assert env['MMCV_WITH_OPS'] == '1' and env['FORCE_CUDA'] == '0'
        cuda = {**FACTS, 'cuda': '13.0', 'nvcc': True, 'device': True}
        folder, env = parts.wheel_folder(cuda)
        assert folder.name == 'torch2.13.0-cp311-cu130' and 'FORCE_CUDA' not in env

    def test_cuda_without_nvcc_builds_for_the_cpu_and_says_so(self, parts, monkeypatch, capsys):
        folder, env = parts.wheel_folder({**FACTS, 'cuda': '13.0', 'device': True})
        assert folder.name.endswith('-cpu') and env['CUDA_VISIBLE_DEVICES'] == ''
        assert 'no nvcc' in capsys.readouterr().out

    def test_a_wheel_counts_only_with_its_ops(self, parts, tmp_path):
        wheel(tmp_path, parts, ops=False)
        assert parts.cached_wheel(tmp_path, MMCV) is None
        path = wheel(tmp_path, parts)
        assert parts.cached_wheel(tmp_path, MMCV) == path
        path.write_bytes(path.read_bytes()[:50])  # half a copy
        assert parts.cached_wheel(tmp_path, MMCV) is None

    def test_build_moves_a_whole_wheel_into_place(self, parts, tmp_path, monkeypatch):
        seen = {}

        def run(command, log, env):
            seen.update(command=command, env=env)
            wheel(Path(command[command.index('--wheel-dir') + 1]), parts)

        monkeypatch.setattr(parts, 'run', run)
        made = parts.build_wheel('python', MMCV, tmp_path, {'MMCV_WITH_OPS': '1'}, tmp_path / 'log')
        assert parts.has_ops(made) and [path.name for path in tmp_path.iterdir()] == [made.name]
        assert {'--no-build-isolation', '--no-deps', '--no-cache-dir'} <= set(seen['command'])

    def test_build_without_ops_leaves_nothing(self, parts, tmp_path, monkeypatch):
        def run(command, log, env):
            wheel(Path(command[command.index('--wheel-dir') + 1]), parts, ops=False)

        monkeypatch.setattr(parts, 'run', run)
        with pytest.raises(parts.SetupError, match='holds no compiled ops'):
            parts.build_wheel('python', MMCV, tmp_path, {}, tmp_path / 'log')
        assert list(tmp_path.iterdir()) == []


class TestCommands:
    def test_failure_shows_the_log_and_the_way_out(self, parts, tmp_path, capsys):
        code = 'import sys; print("the reason"); sys.exit(3)'
        with pytest.raises(parts.SetupError, match='status 3.*mend that and run make setup again'):
            parts.run([sys.executable, '-c', code], tmp_path / 'log')
        assert '| the reason' in capsys.readouterr().out

    def test_progress_of_a_build(self, parts, tmp_path):
        log = tmp_path / 'log'
        log.write_text('[3/9] old\n')
        offset = log.stat().st_size
        assert parts.progress(log, offset) is None
        log.write_text('[3/9] old\n  [1/87] c++ a\nx [7/8] not at the start\n  [29/87] c++ b\n')
        assert parts.progress(log, offset) == (29, 87)
        assert parts.status(120.0, (29, 87)) == (
            '... file 29 of 87, 2 min 0 s so far, about 4 min 0 s left'
        )

    def test_a_second_set_up_waits(self, parts, tmp_path):
        order = []

        def first():
            with parts.locked(tmp_path / 'lock'):
                order.append('in')
                time.sleep(0.3)
                order.append('out')

        thread = threading.Thread(target=first)
        thread.start()
        while not order:
            time.sleep(0.01)
        with parts.locked(tmp_path / 'lock'):
            order.append('second')
        thread.join()
        assert order == ['in', 'out', 'second']


class TestSteps:
    def setup(self, steps, venv):
        setup = steps.Setup(('seg',), 'torch==2.13.0', venv)
        setup.load()
        return setup

    def test_done_steps_are_passed_over(self, steps, tmp_path, capsys):
        ran = []
        (tmp_path / 'bin').mkdir()
        (tmp_path / 'bin' / 'python').touch()
        setup = self.setup(steps, tmp_path)
        setup.step(1, 'thing', 'about 1 s', 'key', lambda: ran.append(1))
        self.setup(steps, tmp_path).step(1, 'thing', 'about 1 s', 'key', lambda: ran.append(2))
        self.setup(steps, tmp_path).step(1, 'thing', 'about 1 s', 'other', lambda: ran.append(3))
        assert ran == [1, 3]
        assert '[1/7] thing: already there' in capsys.readouterr().out

    def test_a_failed_optional_step_is_tried_again(self, steps, tmp_path):
        setup = self.setup(steps, tmp_path)
        setup.step(7, 'kernels', 'about 1 s', 'key', lambda: False)
        assert 'kernels' not in setup.done

    def test_a_moved_environment_starts_over(self, steps, tmp_path):
        (tmp_path / 'bin').mkdir()
        (tmp_path / 'bin' / 'python').touch()
        record = {'place': '/elsewhere/.venv', 'mmcv ops': 'key'}
        (tmp_path / 'setup.json').write_text(json.dumps(record))
        assert self.setup(steps, tmp_path).done == {'place': str(tmp_path)}

    def test_kernel_key_follows_the_sources(self, steps, tmp_path, monkeypatch):
        source = tmp_path / 'kernels' / 'csrc' / 'scan.cpp'
        source.parent.mkdir(parents=True)
        source.write_text('int one;')
        monkeypatch.setattr(steps, 'ROOT', tmp_path)
        before = steps.kernel_key(FACTS)
        source.write_text('int two;')
        assert steps.kernel_key(FACTS) != before

    def test_an_error_is_one_line(self, steps, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(steps, 'check_python', self.refuse(steps))
        assert steps.main(['--venv', str(tmp_path / 'venv')]) == 1
        assert capsys.readouterr().err == 'set-up stopped: too old\n'

    def refuse(self, steps):
        def check():
            raise steps.SetupError('too old')

        return check
