"""Vision Mamba backbones, heads and whole networks for dense prediction."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version('mamba_dense')
except PackageNotFoundError:  # a source tree on sys.path that was never installed
    __version__ = '0+unknown'

__all__ = ['__version__']
