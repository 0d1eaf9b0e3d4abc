"""Finding and downloading files: addresses, the cache, broken and absent connections."""

import functools
import hashlib
import http.server
import logging
import threading

import pytest

from mamba_dense.weights import fetch as module
from mamba_dense.weights.fetch import Progress, cached_path, fetch

CONTENT = bytes(range(256)) * 4096


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith('/short'):
            self.send_response(200)
            self.send_header('Content-Length', str(2 * len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path.startswith('/page'):
            self.send_response(200)
            self.send_header('Content-Type', 'text/html; charset=utf-8')
            self.end_headers()
            self.wfile.write(b'<html>sign in</html>')
        else:
            super().do_GET()

    def log_message(self, *parts):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MAMBA_DENSE_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / 'served'
    folder.mkdir()
    (folder / 'file 1.pth').write_bytes(CONTENT)
    handler = functools.partial(_Handler, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()
        thread.join()


def test_download_is_kept(server, cache):
    url = f'{server}/file%201.pth'
    path = fetch(url)
    assert path == cached_path(url)
    assert path.parent == cache / 'weights'
    assert path.name.endswith('-file 1.pth')
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_second_fetch_needs_no_server(cache):
    url = 'http://127.0.0.1:9/file.pth'
    cached_path(url).parent.mkdir(parents=True)
    cached_path(url).write_bytes(b'put here by hand')
    assert fetch(url).read_bytes() == b'put here by hand'


def test_size_and_digest_are_checked(server, cache):
    url = f'{server}/file%201.pth'
    digest = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match=r'has 1048576 bytes, the published file 5'):
        fetch(url, size=5)
    assert not cached_path(url).exists()
    with pytest.raises(ValueError, match='SHA-256'):
        fetch(url, sha256='0' * 64)
    assert fetch(url, size=len(CONTENT), sha256=digest).read_bytes() == CONTENT
    assert list(cached_path(url).parent.iterdir()) == [cached_path(url)]


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('absent.pth', 'answered 404'),
        ('short.pth', 'broke off after'),
        ('page.pth', 'is a web page'),
    ],
)
def test_bad_answers_leave_nothing(server, cache, name, words):
    with pytest.raises(ConnectionError, match=words):
        fetch(f'{server}/{name}')
    assert not list((cache / 'weights').iterdir())


def test_offline_says_where_to_put_the_file(cache):
    url = 'http://127.0.0.1:9/weights.pth'
    with pytest.raises(ConnectionError) as caught:
        fetch(url)
    assert str(cached_path(url)) in str(caught.value)
    assert 'MAMBA_DENSE_CACHE' in str(caught.value)


def test_local_paths(tmp_path):
    path = tmp_path / 'a b.pth'
    path.write_bytes(b'x')
    assert fetch(path) == path
    assert fetch(path.as_uri()) == path
    with pytest.raises(FileNotFoundError, match=r'a c\.pth is not there; weight files .*a b\.pth'):
        fetch(tmp_path / 'a c.pth')
    with pytest.raises(FileNotFoundError, match='nor is its folder'):
        fetch(tmp_path / 'nowhere' / 'a.pth')
    with pytest.raises(ValueError, match='is a folder'):
        fetch(tmp_path)
    with pytest.raises(ValueError, match="scheme 'ftp'"):
        fetch('ftp://example.org/a.pth')


def test_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv('MAMBA_DENSE_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert module.cache_dir() == tmp_path / 'mamba_dense'
    one, two = cached_path('http://a.org/x/w.pth'), cached_path('http://a.org/y/w.pth')
    assert one != two
    assert one.parent == two.parent == tmp_path / 'mamba_dense' / 'weights'


def test_progress_tells_what_is_left(caplog):
    progress = Progress('w.pth', 100_000_000)
    assert progress.text(25_000_000, 5.0) == 'w.pth: 25.0 MB of 100.0 (25 %), 5.0 MB/s, 15 s left'
    assert Progress('w.pth', 0).text(5_000_000, 1.0) == 'w.pth: 5.0 MB, 5.0 MB/s'
    progress.interval = 0.0
    with caplog.at_level(logging.INFO):
        progress.update(50_000_000)
    assert '50 %' in caplog.text
