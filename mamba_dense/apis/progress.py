"""How far a long piece of work is and when it will end."""

import sys
import time
from typing import TextIO

_WIDTH = 24


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(4.21), duration(75), duration(3700)
    ('4.2 s', '1 min 15 s', '1 h 01 min')
    """
    if seconds < 60:
        return f'{seconds:.1f} s' if seconds < 10 else f'{seconds:.0f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02d} s'
    return f'{minutes // 60} h {minutes % 60:02d} min'


class Progress:
    """Counts steps of known number on a terminal line, or on lines of a log now and then.

    Args:
        name: what is being done.
        total: number of steps.
        stream: where to write; standard error by default.
    """

    def __init__(self, name: str, total: int, stream: TextIO | None = None):
        self.name = name
        self.total = total
        self.done = 0
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._pause = 0.2 if self._terminal else 15.0
        self._start = self._shown = time.monotonic()

    def step(self, note: str = '') -> None:
        """One step more is done; `note` says which."""
        self.step_to(self.done + 1, note)

    def step_to(self, done: int, note: str = '') -> None:
        """`done` steps are done, some perhaps by an earlier run."""
        self.done = done
        now = time.monotonic()
        if self.done < self.total and now - self._shown < self._pause:
            return
        self._shown = now
        self._write(f'{self.text(now - self._start)}  {note}'.rstrip())

    def clear(self) -> None:
        """Make room for other output on a terminal; the next step draws the line again."""
        if self._terminal:
            self._stream.write('\r\033[K')
            self._stream.flush()

    def text(self, seconds: float) -> str:
        """The line after `seconds` of work."""
        share = self.done / max(self.total, 1)
        bar = '#' * round(share * _WIDTH)
        left = seconds / max(self.done, 1) * (self.total - self.done)
        end = f'{duration(left)} left' if self.done < self.total else f'took {duration(seconds)}'
        return f'{self.name} [{bar:<{_WIDTH}}] {self.done}/{self.total}, {end}'

    def _write(self, line: str) -> None:
        if not self._terminal:
            self._stream.write(line + '\n')
            return
        end = '\n' if self.done >= self.total else ''
        self._stream.write(f'\r\033[K{line}{end}')
        self._stream.flush()
