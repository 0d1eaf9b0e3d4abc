"""Where the project's configs lie: beside the package in a checkout, inside it when installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def configs() -> Path:
    """The folder of the families and of `_base_`."""
    installed = _PACKAGE / '.mim' / 'configs'  # mmengine's place for the configs of a package
    return installed if installed.is_dir() else _PACKAGE.parent / 'configs'
