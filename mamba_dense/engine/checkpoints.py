"""Whole files or none: checkpoints that a kill or a full disk cannot spoil."""

import re
import shutil
import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from mamba_dense.weights.save import atomic_write

BACKEND = 'mamba_dense_whole'
_PART = '.part'  # what an interrupted write leaves behind ends so
_NAME = re.compile(r'(?:iter|epoch)_(\d+)\.pth')


class WholeFileBackend(LocalBackend):
    """mmengine's local files, with every write of a checkpoint whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to `filepath` by `weights.save.atomic_write`.

        Raises:
            OSError: the disk is full or refuses; says the size needed, the space left and how to
                go on.
        """
        try:
            atomic_write(filepath, lambda part: part.write_bytes(obj))
        except OSError as error:
            raise OSError(
                error.errno,
                f'{error.strerror}. {len(obj) / 1e6:.1f} MB are needed; earlier checkpoints are '
                'whole: make room, or copy them to another disk (--work-dir), and go on with '
                '--resume',
            ) from error


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
