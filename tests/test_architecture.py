"""The house rules that a machine can hold: sizes, imports, families, words."""

import ast
import configparser
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE_LINES, FUNCTION_LINES = 400, 60
LIBRARY = ('mamba_dense', 'kernels/mamba_kernels')
TREES = (*LIBRARY, 'kernels/benchmarks', 'tools', 'tests', 'configs')
# spelled in pieces, so that this file does not hold what it forbids
FORBIDDEN = (
    'py' + 'pi.org',
    'python' + 'hosted',
    'pytorch.org' + '/whl',
    '.lib' + 'rary/',
    'farm' + '-studio',
    'farm' + '-bench',
    r'(?<![\w.])/wo' + 'rk/',
    r'(?<![\w.])/fa' + 'rm/',
    r'(?<![\w.])/ro' + 'ot/',
    r'(?<![\w.])/ho' + 'me/[a-z]',
    r'/tmp' + '/w',
)
FAMILIES = sorted(
    path.stem
    for path in (ROOT / 'mamba_dense' / 'backbones').glob('*.py')
    if path.stem not in ('__init__', 'base', 'channel_first', 'isotropic')
)


def tracked():
    """Files of this project that git tracks or would; all of them where there is no git."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard']
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / line for line in listing.stdout.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for tree in TREES for path in (ROOT / tree).rglob('*')]
    return [path for path in paths if path.is_file()]


def sources(*trees):
    """Python files below these folders."""
    return [path for tree in trees for path in sorted((ROOT / tree).rglob('*.py'))]


def name(path):
    return path.relative_to(ROOT).as_posix()


def python(code, *arguments):
    """Run code in a fresh interpreter."""
    command = [sys.executable, '-c', code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


class TestSizes:
    def test_files(self):
        suffixes = {'.py', '.cpp', '.h', '.sh', '.cfg', '.toml'}
        counts = {
            name(path): len(path.read_text().splitlines())
            for path in tracked()
            if path.suffix in suffixes
        }
        assert {file: count for file, count in counts.items() if count > FILE_LINES} == {}

    def test_functions(self):
        long = {}
        for path in sources(*TREES):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = node.end_lineno - node.lineno + 1
                    if lines > FUNCTION_LINES:
                        long[f'{name(path)}:{node.name}'] = lines
        assert long == {}


class TestImports:
    def test_contracts(self):
        command = [Path(sys.executable).with_name('lint-imports'), '--no-cache']
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_every_package_has_a_layer(self):
        config = configparser.ConfigParser()
        config.read(ROOT / 'setup.cfg')
        layers = config['importlinter:contract:layers']['layers']
        mmdet = config['importlinter:contract:mmdet']['source_modules'].split()
        for path in sorted((ROOT / 'mamba_dense').iterdir()):
            module = f'mamba_dense.{path.stem}'
            if path.name.startswith('_') or (path.is_dir() and not list(path.glob('*.py'))):
                continue
            assert re.search(rf'{re.escape(module)}\b', layers), f'{module} is in no layer'
            if path.stem not in ('detection', 'tracking'):
                assert module in mmdet, f'{module} may import mmdet'

    def test_the_package_imports_nothing(self):
        code = "import sys, mamba_dense; print('torch' in sys.modules, 'mmengine' in sys.modules)"
        assert python(code).stdout.split() == ['False', 'False']

    @pytest.mark.parametrize('module', ['mamba_kernels', 'mamba_dense.mixers'])
    def test_torch_alone(self, module):
        others = ['mmengine', 'mmcv', 'mmseg', 'mmdet', 'triton', 'monai', 'timm', 'torchvision']
        code = (
            'import importlib, sys\nsys.modules.update(dict.fromkeys(sys.argv[2:]))\n'
            'importlib.import_module(sys.argv[1])'
        )
        done = python(code, module, *others)
        assert done.returncode == 0, done.stderr

    def test_backbones_need_mmengine_alone(self):
        code = (
            "import sys\nfor name in ('mmcv', 'mmseg', 'mmdet', 'timm', 'torchvision'):\n"
            '    sys.modules[name] = None\n'
            'from mamba_dense.registry import MODELS\n'
            "MODELS.build(dict(type='mamba_dense.VMamba', arch='nano'))"
        )
        done = python(code)
        assert done.returncode == 0, done.stderr

    def test_segmentation_never_asks_for_mmdet(self):
        """The demo's network is built and run where mmdet, timm and torchvision do not exist."""
        pytest.importorskip('mmseg', reason='needs the extra seg')
        code = (
            "import sys\nfor name in ('mmdet', 'timm', 'torchvision'):\n"
            '    sys.modules[name] = None\n'
            'import torch\nfrom mmengine.config import Config\nimport mamba_dense.apis\n'
            'import mamba_dense.engine, mamba_dense.segmentation\n'
            'from mamba_dense.registry import MODELS\n'
            'from mmseg.utils import register_all_modules\nregister_all_modules()\n'
            'model = MODELS.build(Config.fromfile(sys.argv[1]).model).eval()\n'
            'out = model(torch.zeros(1, 3, 64, 64))\n'
            "print(tuple(out.shape), sys.modules['mmdet'])"
        )
        config = ROOT / 'configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py'
        done = python(code, str(config))
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith('None')


class TestFamilies:
    def test_there_are_some(self):
        assert 'vmamba' in FAMILIES

    @pytest.mark.parametrize('family', FAMILIES)
    def test_configs(self, family):
        folder = ROOT / 'configs' / family
        leaves = [path.name for path in folder.glob('*.py')]
        assert leaves, f'{name(folder)} holds no config'
        readme, metafile = folder / 'README.md', folder / 'metafile.yml'
        assert readme.is_file() and metafile.is_file()
        for leaf in leaves:
            assert leaf in readme.read_text(), f'{leaf} is not in the table of {name(readme)}'

    @pytest.mark.parametrize('family', FAMILIES)
    def test_golden_records(self, family):
        records = sorted((ROOT / 'tests' / 'golden' / family).glob('*.json'))
        assert records, f'tests/golden/{family} holds no record'
        assert all(path.with_suffix('.npz').is_file() for path in records)

    @pytest.mark.parametrize('family', FAMILIES)
    def test_key_map(self, family):
        from mamba_dense.weights import KeyMap

        module = importlib.import_module(f'mamba_dense.backbones.{family}')
        classes = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__
            and 'ARCHS' in vars(value)
        ]  # fmt: skip
        assert classes, f'{family} has no class with ARCHS'
        for cls in classes:
            assert isinstance(cls.AUTHOR_KEYS, KeyMap)
            assert cls.ARCHS

    def test_third_parties(self):
        """The papers and repositories of every family are named."""
        text = (ROOT / 'THIRD_PARTY.md').read_text().lower()
        for family in FAMILIES:
            assert family.replace('_', '') in re.sub(r'[_\-\s]', '', text), family


class TestWords:
    def test_no_machine_and_no_index(self):
        pattern = re.compile('|'.join(FORBIDDEN))
        found = []
        for path in tracked():
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            found += [f'{name(path)}: {match[0]}' for match in pattern.finditer(text)]
        assert found == []

    @pytest.mark.parametrize('tree', LIBRARY)
    def test_library_is_quiet(self, tree):
        """No assert, no print, no bare except, no star import and no swallowed keywords."""
        found = []
        for path in sources(tree):
            for node in ast.walk(ast.parse(path.read_text())):
                where = f'{name(path)}:{getattr(node, "lineno", 0)}'
                if isinstance(node, ast.Assert):
                    found.append(f'{where} assert')
                elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'print':
                    found.append(f'{where} print')
                elif isinstance(node, ast.ExceptHandler) and node.type is None:
                    found.append(f'{where} bare except')
                elif isinstance(node, ast.ImportFrom) and node.names[0].name == '*':
                    found.append(f'{where} star import')
                elif isinstance(node, ast.FunctionDef) and node.args.kwarg is not None:
                    if not node.args.kwarg.arg.startswith('_'):  # torch's formulas are handed some
                        found.append(f'{where} **{node.args.kwarg.arg}')
        assert found == []

    @pytest.mark.parametrize('tree', [*LIBRARY, 'tools', 'tests'])
    def test_first_line_says_what_for(self, tree):
        texts = {name(path): path.read_text() for path in sources(tree)}
        silent = [file for file, text in texts.items() if text and not _docstring(text)]
        assert silent == []

    def test_no_utils(self):
        names = {'utils', 'common', 'helpers', 'misc'}
        assert [name(path) for path in sources(*LIBRARY) if names & {*path.parts, path.stem}] == []


def _docstring(text):
    return ast.get_docstring(ast.parse(text))
