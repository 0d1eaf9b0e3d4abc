"""What is done of a long piece of work, on the disk, so that a run killed goes on where it was.

Every result is a file of its own, there whole or not at all, and its presence is the journal.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..weights.save import atomic_write


class Journal:
    """Results of tiles by row and column, and of finished bands of rows.

    Args:
        folder: where the files lie; it is removed by `remove`.
        job: what the results depend on, as JSON. Results of another job are thrown away.

    Attributes:
        resumed: whether results of an earlier run were found.

    Raises:
        OSError: another process is at work in the folder.
    """

    def __init__(self, folder: str | Path, job: Mapping[str, Any]):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            # given back by the system however the process ends
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise OSError(
                f'{self.folder}: another process writes these results; wait for it, or choose '
                'another folder.'
            ) from error
        text = json.dumps(job, indent=1, sort_keys=True)
        note = self.folder / 'job.json'
        same = note.is_file() and note.read_text() == text
        if not same:
            for path in self.folder.iterdir():
                path.unlink()
            atomic_write(note, lambda part: part.write_text(text))
        self.resumed = same and any(self.folder.glob('*.npy'))

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; what is in it stays."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def has_tile(self, row: int, column: int) -> bool:
        """Whether a tile is done."""
        return self._tile(row, column).is_file()

    def put_tile(self, row: int, column: int, scores: np.ndarray | None) -> None:
        """Keep the scores of a tile; None says that it has none."""
        _save(self._tile(row, column), np.empty(0, np.float32) if scores is None else scores)

    def tile(self, row: int, column: int) -> np.ndarray | None:
        """Scores of a tile that is done, mapped from the disk."""
        path = self._tile(row, column)
        if path.stat().st_size <= 128:  # the header of an empty array
            return None
        return np.load(path, mmap_mode='r', allow_pickle=False)

    def drop_row(self, row: int) -> None:
        """Throw away the tiles of a row that no band needs any more."""
        for path in self.folder.glob(f'tile_{row}_*.npy'):
            path.unlink()

    def has_band(self, index: int) -> bool:
        """Whether a band of rows is finished."""
        return self._band(index).is_file()

    def put_band(self, index: int, maps: np.ndarray) -> None:
        """Keep the maps (maps, rows, width) of a finished band."""
        _save(self._band(index), maps)

    def band(self, index: int) -> np.ndarray:
        """Maps of a finished band, mapped from the disk."""
        return np.load(self._band(index), mmap_mode='r', allow_pickle=False)

    def remove(self) -> None:
        """Throw the whole folder away: the work is done."""
        shutil.rmtree(self.folder)
        self.close()

    def _tile(self, row: int, column: int) -> Path:
        return self.folder / f'tile_{row}_{column}.npy'

    def _band(self, index: int) -> Path:
        return self.folder / f'band_{index}.npy'


def _save(path: Path, values: np.ndarray) -> None:
    def write(part: Path) -> None:
        with part.open('wb') as file:
            np.save(file, values, allow_pickle=False)

    atomic_write(path, write)
