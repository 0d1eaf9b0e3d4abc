"""Find the two packages: mamba_dense at the root, mamba_kernels in kernels/."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

KERNELS = Path('kernels')


class BuildWithSources(build_py):
    """Ship the C++ sources inside mamba_kernels, so that an installed wheel can build them too."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / 'mamba_kernels' / 'csrc'
            shutil.copytree(KERNELS / 'csrc', target, dirs_exist_ok=True)


setup(
    packages=[
        *find_packages(include=['mamba_dense', 'mamba_dense.*']),
        *find_packages(str(KERNELS), include=['mamba_kernels', 'mamba_kernels.*']),
    ],
    package_dir={'mamba_kernels': 'kernels/mamba_kernels'},
    include_package_data=False,
    cmdclass={'build_py': BuildWithSources},
)
