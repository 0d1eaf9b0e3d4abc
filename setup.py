"""Find the two packages, ship their data, and build the C++ kernels where that is possible."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# what a checkout keeps outside the packages -> where an installed package has it
SHIPPED = {
    'kernels/csrc': 'mamba_kernels/csrc',
    'configs': 'mamba_dense/.mim/configs',  # where mmengine looks for a package's configs
}


def build_kernels():
    """Compile into the user's cache; whatever goes wrong, the install goes on without."""
    wanted = os.environ.get('MAMBA_KERNELS_BUILD') != '0'
    if wanted and importlib.util.find_spec('torch') is not None:
        env = dict(os.environ, PYTHONPATH=str(ROOT / 'kernels'))
        command = [sys.executable, '-m', 'mamba_kernels.build']
        subprocess.run(command, cwd=ROOT, env=env, check=False)


class BuildWithSources(build_py):
    """Ship the C++ sources and the configs inside the packages of a wheel."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for source, target in SHIPPED.items():
                place = Path(self.build_lib) / target
                shutil.rmtree(place, ignore_errors=True)
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(ROOT / source, place, ignore=ignore)
        build_kernels()


setup(
    packages=[
        *find_packages(include=['mamba_dense', 'mamba_dense.*']),
        *find_packages('kernels', include=['mamba_kernels', 'mamba_kernels.*']),
    ],
    package_dir={'mamba_kernels': 'kernels/mamba_kernels'},
    package_data={'mamba_dense.samples': ['*.json', '*.md', '*/*']},
    include_package_data=False,
    cmdclass={'build_py': BuildWithSources},
)
