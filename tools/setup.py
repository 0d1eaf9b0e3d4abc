"""Set-up of a checkout: .venv with torch, the mmcv ops, the extras and this package.

Runs on the system's Python with the standard library alone. A finished step leaves a key in
.venv/setup.json and is passed over until what it depends on has changed. The mmcv ops are compiled
once for each torch, Python and CUDA and kept as a wheel in the user's cache (MAMBA_DENSE_CACHE).
"""

import argparse
import configparser
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from setup_parts import (
    ROOT,
    SetupError,
    build_wheel,
    cached_wheel,
    check_compiler,
    check_python,
    digest,
    locked,
    run,
    say,
    spell,
    wheel_folder,
    wheel_root,
)

TORCH = 'torch==2.13.0'
# Triton's interpreter runs the tests; a torch with CUDA brings the release that it needs itself.
TRITON = 'triton==3.6.0; platform_system == "Linux"'
BUILD_TOOLS = ('setuptools>=80,<82', 'wheel', 'ninja', 'psutil', 'packaging')

PROBE = """
import importlib.metadata as metadata, json, sys, torch
from torch.utils import cpp_extension
needs = metadata.requires('torch') or []
print(json.dumps({
    'torch': torch.__version__.partition('+')[0],
    'python': 'cp%d%d' % sys.version_info[:2],
    'cuda': torch.version.cuda,
    'nvcc': cpp_extension.CUDA_HOME is not None,
    'device': torch.cuda.is_available(),
    'triton': any(need.startswith('triton') for need in needs),
}))
"""


def requirements(extras, folder=ROOT):
    """The base requirements and those of the extras in setup.cfg: in order, once each."""
    config = configparser.ConfigParser()
    config.read(folder / 'setup.cfg', encoding='utf-8')
    own, known = config['metadata']['name'], config['options.extras_require']
    found, pending = config['options']['install_requires'].split('\n'), list(extras)
    seen = set()
    while pending:
        extra = pending.pop(0)
        if extra not in known:
            raise SetupError(f"extra '{extra}' is not known; known: {', '.join(known)}")
        if extra in seen:
            continue
        seen.add(extra)
        for line in known[extra].split('\n'):
            nested = re.fullmatch(own + r'\[(.+)\]', line.strip())
            if nested:
                pending += [name.strip() for name in nested[1].split(',')]
            else:
                found.append(line)
    return list(dict.fromkeys(line.strip() for line in found if line.strip()))


class Setup:
    """The steps of one checkout, and the record of those that are done."""

    def __init__(self, extras, torch, venv):
        self.extras, self.torch, self.venv = extras, torch, venv
        self.python = venv / 'bin' / 'python'
        self.log, self.record = venv / 'setup.log', venv / 'setup.json'
        self.needs = requirements(extras)
        self.done = {}
        self.facts = {}

    def load(self):
        with contextlib.suppress(OSError, ValueError):
            self.done = json.loads(self.record.read_text())
        moved = self.done.get('place') != str(self.venv)  # or made by hand
        if moved or not self.python.exists():
            self.done = {'place': str(self.venv)}

    def step(self, number, name, expected, key, action):
        """Run one step unless its key says that it is done."""
        if self.done.get(name) == key:
            say(f'[{number}/7] {name}: already there')
            return
        say(f'[{number}/7] {name} ({expected})')
        start = time.monotonic()
        if action() is False:  # can wait: tried again at the next set-up
            return
        self.done[name] = key
        self.record.write_text(json.dumps(self.done, indent=1))
        say(f'      done in {spell(time.monotonic() - start)}')

    def pip(self, *arguments, env=None):
        command = [self.python, '-m', 'pip', 'install', '--no-input', '--progress-bar', 'off']
        run([*command, '--disable-pip-version-check', *arguments], self.log, env)

    def make_venv(self):
        usable = (
            self.python.exists()
            and not subprocess.run(
                [str(self.python), '-m', 'pip', '--version'],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            ).returncode
        )
        if not usable:
            clear = ['--clear'] if self.venv.exists() else []
            command = [sys.executable, '-m', 'venv', *clear, str(self.venv)]
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
                raise SetupError(f'{self.venv} cannot be made: the lines above say why')

    def probe(self):
        """Facts of the installed torch; asked again when it is another one."""
        packages = self.venv.glob('lib/*/site-packages/torch-*.dist-info')
        key = sorted(path.name for path in packages)
        if key and self.done.get('torch') == key:
            self.facts = self.done['facts']
            return
        command = [str(self.python), '-c', PROBE]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            reason = (answer.stderr.strip().splitlines() or ['no message'])[-1]
            raise SetupError(f'torch does not import ({reason}): run make clean, then make setup')
        self.facts = json.loads(answer.stdout)
        self.done.update(torch=key, facts=self.facts)

    def install_ops(self, requirement):
        folder, env = wheel_folder(self.facts)
        with locked(folder / '.lock'):
            wheel = cached_wheel(folder, requirement)
            if wheel is None:
                say(f'      compiling for {folder.name} with {env["MAX_JOBS"]} jobs, once')
                wheel = build_wheel(self.python, requirement, folder, env, self.log)
            say(f'      {wheel}')
            self.pip('--force-reinstall', '--no-deps', str(wheel))

    def install_extras(self):
        own_triton = [] if self.facts['triton'] else [TRITON]
        named = [
            TRITON if need.startswith('triton') and own_triton else need for need in self.needs
        ]
        self.pip('--no-build-isolation', *named)

    def install_package(self):
        editable = ('--no-build-isolation', '--no-deps', '--editable', str(ROOT))
        self.pip(*editable, env={'MAMBA_KERNELS_BUILD': '0'})  # the next step builds them

    def build_kernels(self):
        """A machine that cannot build them runs the pure torch backend."""
        if os.environ.get('MAMBA_KERNELS_BUILD') == '0':
            say('      MAMBA_KERNELS_BUILD=0: left out; the chunked backend serves')
            return True
        command = [str(self.python), '-m', 'mamba_kernels.build']
        if subprocess.run(command, cwd=str(ROOT), check=False).returncode:
            say('      not built: scans on the CPU use the chunked backend, which is slower')
            return False
        return True

    def all(self):
        mmcv = next((need for need in self.needs if need.startswith('onedl-mmcv==')), None)
        if mmcv and not any(wheel_root().glob('*/onedl_mmcv-*.whl')):
            check_compiler()  # before minutes of downloads
        self.step(1, 'virtual environment', 'about 5 s', 'made', self.make_venv)
        self.step(
            2,
            self.torch,
            '20 s and a download of 200 MB; with CUDA 3 GB, several minutes',
            digest(self.torch),
            lambda: self.pip(self.torch),
        )
        tools = digest(BUILD_TOOLS)
        self.step(3, 'build tools', 'about 5 s', tools, lambda: self.pip(*BUILD_TOOLS))
        self.probe()
        if mmcv:
            self.step(
                4,
                'mmcv ops',
                '5 s from the cache; the first time on 2 cores about 8 minutes of compiling',
                digest(mmcv, self.facts),
                lambda: self.install_ops(mmcv),
            )
        key = digest(self.needs, self.facts)
        name = f'packages of {",".join(self.extras)}'
        self.step(
            5, name, 'a minute and a download of 350 MB, 500 with det', key, self.install_extras
        )
        texts = [(ROOT / file).read_text() for file in ('setup.cfg', 'setup.py', 'pyproject.toml')]
        key = digest(texts, str(ROOT))
        self.step(6, 'mamba_dense', 'about 3 s', key, self.install_package)
        self.step(7, 'C++ kernels', 'about 15 s', kernel_key(self.facts), self.build_kernels)


def kernel_key(facts):
    """Changes with the C++ sources and with what builds them."""
    sources = [ROOT / 'kernels' / 'mamba_kernels' / 'build.py']
    sources += sorted((ROOT / 'kernels' / 'csrc').glob('*'))
    build = os.environ.get('MAMBA_KERNELS_BUILD', '1')
    return digest([path.read_text() for path in sources if path.is_file()], facts['python'], build)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--extras', default='seg,dev', help='extras of setup.cfg, by comma')
    parser.add_argument('--torch', default=TORCH, help=f'what to ask pip for (default: {TORCH})')
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='default: .venv')
    options = parser.parse_args(arguments)
    try:
        check_python()
        start = time.monotonic()
        setup = Setup(
            tuple(name.strip() for name in options.extras.split(',')),
            options.torch,
            options.venv.absolute(),
        )
        with locked(setup.venv.with_name(setup.venv.name + '.lock')):
            setup.load()
            setup.all()
        say(f'set-up finished in {spell(time.monotonic() - start)}: {setup.venv}')
    except SetupError as error:
        print(f'set-up stopped: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('set-up interrupted: run it again, it goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
