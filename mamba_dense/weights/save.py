"""Writing a file so that it is there whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def atomic_write(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    An interruption, a full disk or an error in `write` leaves whatever lay at `path` untouched and
    no half-written file behind. A folder or a device is never replaced.
    """
    path = Path(path).expanduser()
    if path.exists() and not path.is_file():
        raise ValueError(f'{path} is not a plain file and is left alone; give the name of a file')
    temporary = path.with_name(f'.{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except ConnectionError:
        raise  # a download's own account of what went wrong
    except OSError as error:
        raise _explained(path, error) from error
    except safetensors.SafetensorError as error:
        raise _explained(path, _as_os_error(error)) from error
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
    return path


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, *, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write named tensors as safetensors, atomically."""
    path = Path(path)
    if path.suffix != '.safetensors':
        raise ValueError(f'{path}: converted weights are written as safetensors; end it so')
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    notes = {'format': 'pt', **(metadata or {})}

    def write(part: Path) -> None:
        part.touch()
        mode = part.stat().st_mode  # a new file's; safetensors would give its owner's alone
        safetensors.torch.save_file(whole, part, notes)
        part.chmod(mode)

    return atomic_write(path, write)


def _flush(path: Path) -> None:
    """Have the file (or the folder's entries) on the disk before going on."""
    if path.is_dir() and os.name == 'nt':
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_os_error(error: safetensors.SafetensorError) -> OSError:
    text = str(error)
    full = 'No space left' in text or 'os error 28' in text
    return OSError(errno.ENOSPC if full else errno.EIO, text)


def _explained(path: Path, error: OSError) -> OSError:
    """The same error with the file's name, what is left of it and the way out."""
    folder = next(p for p in (path.parent, *path.parent.parents) if p.is_dir())
    if error.errno in FULL:
        free = shutil.disk_usage(folder).free
        cure = f'the disk is full ({free / 1e6:.1f} MB free in {folder}); make room or choose '
        cure += 'another folder'
    else:
        cure = f'{error.strerror or error}; choose a folder that can be written'
    kept = 'the file there before is unchanged' if path.exists() else 'nothing was left behind'
    return OSError(error.errno, f'cannot write {path}: {cure}; {kept}')
