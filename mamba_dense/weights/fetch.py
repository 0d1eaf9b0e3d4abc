"""Finding a weight file: a local path, or a download kept whole in the user's cache."""

import hashlib
import http.client
import logging
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .save import atomic_write

CACHE_VARIABLE = 'MAMBA_DENSE_CACHE'
TIMEOUT = 30.0  # seconds without an answer
BLOCK = 1 << 20
BROKEN = (
    urllib.error.URLError,
    TimeoutError,
    ConnectionResetError,
    ConnectionRefusedError,
    http.client.HTTPException,
)

_log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Where downloads are kept: MAMBA_DENSE_CACHE, else the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get('XDG_CACHE_HOME')
    return (Path(base).expanduser() if base else Path.home() / '.cache') / 'mamba_dense'


def cached_path(url: str) -> Path:
    """Where the file of a web address lies once it is there; the place to put it by hand."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or 'weights'
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    return cache_dir() / 'weights' / f'{mark}-{name}'


def fetch(path_or_url: str | Path, *, size: int | None = None, sha256: str = '') -> Path:
    """The local path of a weight file, downloaded first if it is on the web.

    size, sha256: what is known of the file; checked whenever given.
    """
    text = str(path_or_url)
    scheme = urllib.parse.urlsplit(text).scheme.lower()
    if scheme in ('http', 'https'):
        path = cached_path(text)
        if not path.is_file():
            _download(text, path, size, sha256)
            return path
    elif scheme == 'file':
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(text).path))
    elif '://' in text:
        raise ValueError(
            f'checkpoint={text!r}: scheme {scheme!r} is not known; give a path, or an address '
            'that begins with file://, http:// or https://'
        )
    else:
        path = Path(text).expanduser()
    _check_local(path)
    _check_content(path, size, sha256)
    return path


def _check_local(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f'checkpoint {path} is a folder; give one of the files in it')
    if path.is_file():
        return
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f'checkpoint {path} is not there, nor is its folder {folder}')
    kinds = ('.pth', '.pt', '.safetensors', '.ckpt', '.bin')
    near = sorted(p.name for p in folder.iterdir() if p.suffix in kinds)[:8]
    found = f'weight files in its folder: {", ".join(near)}' if near else 'no weight file is there'
    raise FileNotFoundError(f'checkpoint {path} is not there; {found}')


def _check_content(path: Path, size: int | None, sha256: str) -> None:
    found = path.stat().st_size
    if size is not None and found != size:
        raise ValueError(
            f'{path} has {found} bytes, the published file {size}: it is damaged or another file; '
            'delete it and load again, or fetch it anew'
        )
    if sha256:
        digest = hashlib.sha256()
        with path.open('rb') as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
        if not digest.hexdigest().startswith(sha256.lower()):
            raise ValueError(
                f'{path} has SHA-256 {digest.hexdigest()}, the published file {sha256}: it is '
                'damaged or another file; delete it and load again, or fetch it anew'
            )


def _download(url: str, path: Path, size: int | None, sha256: str) -> None:
    way_out = (
        f'without a connection: fetch {url} elsewhere and put it at {path} (or give the path of '
        f'your copy; {CACHE_VARIABLE} moves the cache)'
    )
    request = urllib.request.Request(url, headers={'User-Agent': 'mamba_dense'})

    def write(temporary: Path) -> None:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                _copy(answer, temporary, path.name)
        except urllib.error.HTTPError as error:
            raise ConnectionError(
                f'{url} answered {error.code} {error.reason}; is the address right? {way_out}'
            ) from error
        except BROKEN as error:
            reason = getattr(error, 'reason', None) or error
            raise ConnectionError(f'cannot download {url}: {reason}; {way_out}') from error
        _check_content(temporary, size, sha256)

    _log.info('downloading %s to %s', url, path)
    atomic_write(path, write)


def _copy(answer: http.client.HTTPResponse, temporary: Path, name: str) -> None:
    if 'html' in answer.headers.get_content_type():
        raise ConnectionError(
            f'{answer.geturl()} is a web page, not a weight file; fetch the file with a browser '
            'and give its path'
        )
    total = int(answer.headers.get('Content-Length') or 0)
    progress = Progress(name, total)
    done = 0
    with temporary.open('wb') as stream:
        while block := answer.read(BLOCK):
            stream.write(block)
            done += len(block)
            progress.update(done)
    progress.close()
    if total and done != total:
        raise ConnectionError(
            f'{name}: the download broke off after {done} of {total} bytes; nothing was kept, '
            'try again'
        )


class Progress:
    """How far a download is and when it will end: a line on a terminal, else the log at times."""

    def __init__(self, name: str, total: int):
        self.name = name
        self.total = total
        self.terminal = sys.stderr.isatty()
        self.interval = 0.2 if self.terminal else 10.0
        self.start = self.shown = time.monotonic()

    def text(self, done: int, seconds: float) -> str:
        speed = done / max(seconds, 1e-6)
        amount = f'{self.name}: {done / 1e6:.1f} MB'
        if not self.total:
            return f'{amount}, {speed / 1e6:.1f} MB/s'
        left = (self.total - done) / max(speed, 1.0)
        share = f'of {self.total / 1e6:.1f} ({100 * done / self.total:.0f} %)'
        return f'{amount} {share}, {speed / 1e6:.1f} MB/s, {left:.0f} s left'

    def update(self, done: int) -> None:
        now = time.monotonic()
        if now - self.shown < self.interval:
            return
        self.shown = now
        line = self.text(done, now - self.start)
        if self.terminal:
            sys.stderr.write(f'\r\033[K{line}')
            sys.stderr.flush()
        else:
            _log.info('%s', line)

    def close(self) -> None:
        if self.terminal:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()
