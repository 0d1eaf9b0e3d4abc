"""Whole files or none: checkpoints that a kill or a full disk cannot spoil."""

import os
import re
import shutil
import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

BACKEND = 'mamba_dense_whole'
_PART = '.part'  # what an interrupted write leaves behind ends so
_NAME = re.compile(r'(?:iter|epoch)_(\d+)\.pth')


def write_whole(path: str | Path, content: bytes) -> None:
    """Write `content` beside `path`, flush it to the disk, then rename it over `path`.

    Raises:
        OSError: the disk is full or refuses; `path` is as it was before, and the message says the
            size needed, the space left and the way out.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}{_PART}')
    try:
        with open(part, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, _no_room(path, len(content), error.strerror)) from error


def _no_room(path: Path, needed: int, reason: str | None) -> str:
    free = shutil.disk_usage(path.parent).free
    return (
        f'{path} could not be saved ({reason}): {needed / 2**20:.1f} MiB needed, '
        f'{free / 2**20:.1f} MiB free there. Earlier checkpoints are whole; make room or '
        'copy them to another disk (--work-dir), then go on with --resume'
    )


class WholeFileBackend(LocalBackend):
    """mmengine's local files, with every write of a checkpoint whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to `filepath` by `write_whole`."""
        write_whole(filepath, obj)


def use_whole_files() -> dict:
    """Make `WholeFileBackend` known to mmengine; the `backend_args` that choose it."""
    register_backend(BACKEND, WholeFileBackend, force=True)
    return {'backend': BACKEND}


def is_whole(path: str | Path) -> bool:
    """Whether a checkpoint is complete: the zip directory is there, the checksums agree."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def last_whole_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest `iter_N.pth` or `epoch_N.pth` of `work_dir` that is whole.

    Damaged ones are skipped, each with a line in the log.
    """
    found = {file: _NAME.fullmatch(file.name) for file in Path(work_dir).glob('*.pth')}
    numbered = [(int(match[1]), file) for file, match in found.items() if match]
    for _, file in sorted(numbered, reverse=True):
        if is_whole(file):
            return file
        print_log(f'{file} is not a whole checkpoint and is skipped', logger='current', level=30)
    return None


def check_room(out_dir: str | Path, needed: int) -> None:
    """Refuse to start a training whose first checkpoint of about `needed` bytes cannot be saved."""
    free = shutil.disk_usage(out_dir).free
    if free < needed:
        raise OSError(
            f'{out_dir} has {free / 2**20:.1f} MiB free, one checkpoint of this model takes about '
            f'{needed / 2**20:.1f} MiB: make room or choose another disk by --work-dir'
        )


def remove_parts(out_dir: str | Path) -> None:
    """Delete what interrupted writes of earlier runs left in `out_dir`."""
    for part in Path(out_dir).glob(f'*{_PART}'):
        part.unlink(missing_ok=True)
