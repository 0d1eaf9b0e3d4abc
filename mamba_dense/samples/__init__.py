"""The bundled real data: where each file lies and how it is split into training and validation.

Needs nothing but the standard library. Sources and licences stand beside the data in LICENSES.md.

>>> from mamba_dense import samples
>>> samples.path('nuclei/image.png').name
'image.png'
>>> sorted(samples.splits())
['brain', 'nuclei', 'trees']
"""

import json
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_DATA_SUFFIXES = ('.png', '.jpg', '.gz', '.csv')


def names() -> list[str]:
    """The bundled data files, as paths relative to this package, sorted."""
    files = (file for file in _ROOT.rglob('*') if file.suffix in _DATA_SUFFIXES)
    return sorted(file.relative_to(_ROOT).as_posix() for file in files)


def path(name: str) -> Path:
    """Where a bundled file (`'nuclei/image.png'`) or folder (`'nuclei'`) lies.

    Raises:
        ValueError: nothing of that name is bundled; lists what is.
    """
    known = names()
    if name not in known and not any(file.startswith(f'{name}/') for file in known):
        raise ValueError(f'name={name!r} is not bundled; known: {", ".join(known)}')
    return _ROOT / name


def splits() -> dict:
    """The content of splits.json: per data set, what trains and what validates."""
    return json.loads((_ROOT / 'splits.json').read_text())
