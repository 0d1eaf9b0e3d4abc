"""Which files of a folder are the channels of one case: nnU-Net's NAME_0000, NAME_0001, ..."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..engine.files import VOLUME_SUFFIXES
from .images import SUFFIXES, ImageError

_CHANNEL = re.compile(r'(.+)_(\d{4})')


@dataclass(frozen=True)
class VolumeCase:
    """A case to predict.

    Attributes:
        name: of the case; what its results are called.
        paths: a file for each channel.
        problem: why it cannot be predicted, or an empty text.
    """

    name: str
    paths: tuple[Path, ...]
    problem: str = ''


def holds_volumes(source: str | Path, out: str | Path | None = None) -> bool:
    """Whether a file is a volume, or a folder holds volumes and, outside `out`, no pictures."""
    source = Path(source)
    if not source.is_dir():
        return source.name.lower().endswith(VOLUME_SUFFIXES)
    if not _volumes(source, out):
        return False
    pictures = (path for path in source.rglob('*') if path.suffix.lower() in SUFFIXES)
    return not any(_outside(path, out) for path in pictures)


def check_installed() -> None:
    """Refuse volumes where what reads them is not installed.

    Raises:
        ModuleNotFoundError: names what is missing and the extra that brings it.
    """
    missing = [name for name in ('nibabel', 'monai', 'mmseg') if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'{", ".join(missing)}: not installed, and volumes need it: '
            "pip install --no-build-isolation -e '.[medical]'"
        )


def find_cases(source: str | Path, out: str | Path | None = None) -> tuple[VolumeCase, ...]:
    """The cases of a folder and its subfolders, or that of one file, sorted by name.

    NAME_0000.nii.gz, NAME_0001.nii.gz, ... are the channels of NAME, those beside a given file
    too. A name without such a number is a case of one channel.

    Args:
        source: file or folder.
        out: a folder not to look into, where results are written.

    Raises:
        ImageError: nothing is there, or no volume.
    """
    source = Path(source)
    if not source.exists():
        raise ImageError(f'{source}: no such file or folder.')
    if source.is_dir():
        root, files = source, _volumes(source, out)
    else:
        root, name = source.parent, _split(source)[0]
        files = [source] if _split(source)[1] is None else _volumes(root, out, nested=False)
        files = [path for path in files if path == source or _split(path)[0] == name]
    if not files:
        looked = ' '.join(VOLUME_SUFFIXES)
        raise ImageError(f'{source}: no volume in this folder; looked for {looked}.')
    found: dict[str, list[Path]] = {}
    for path in files:
        name = (path.parent / _split(path)[0]).relative_to(root).as_posix()
        found.setdefault(name, []).append(path)
    return tuple(_case(name, sorted(paths)) for name, paths in sorted(found.items()))


def _case(name: str, paths: list[Path]) -> VolumeCase:
    numbers = [_split(path)[1] for path in paths]
    problem = ''
    if numbers != [None] and numbers != list(range(len(paths))):
        shown = ', '.join(path.name for path in paths)
        problem = (
            f'{paths[0]}: the case {name} has the files {shown}; allowed is {name}.nii.gz, or a '
            f'file for each channel, {name}_0000.nii.gz, {name}_0001.nii.gz, ... without a gap. '
            'Rename them, or add the one that is missing.'
        )
    return VolumeCase(name, tuple(paths), problem)


def _split(path: Path) -> tuple[str, int | None]:
    """Name of the case, and number of the channel if the file's name has one."""
    ending = next((e for e in VOLUME_SUFFIXES if path.name.lower().endswith(e)), '')
    stem = path.name[: len(path.name) - len(ending)]
    numbered = _CHANNEL.fullmatch(stem)
    return (numbered[1], int(numbered[2])) if numbered else (stem, None)


def _volumes(folder: Path, out: str | Path | None, *, nested: bool = True) -> list[Path]:
    paths = folder.rglob('*') if nested else folder.iterdir()
    return [
        path
        for path in paths
        if path.name.lower().endswith(VOLUME_SUFFIXES) and path.is_file() and _outside(path, out)
    ]


def _outside(path: Path, out: str | Path | None) -> bool:
    return out is None or not path.resolve().is_relative_to(Path(out).resolve())
