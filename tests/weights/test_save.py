"""Files are written whole or not at all."""

import errno
import os

import pytest
import safetensors.torch
import torch

from mamba_dense.weights import save
from mamba_dense.weights.save import atomic_write, save_tensors


def test_tensors_come_back(tmp_path):
    tensors = {'a': torch.randn(3, 4).T, 'b': torch.arange(5)}
    path = save_tensors(tensors, tmp_path / 'deep' / 'w.safetensors', metadata={'arch': 'nano'})
    back = safetensors.torch.load_file(path)
    assert all(torch.equal(back[key], tensors[key]) for key in tensors)
    with safetensors.safe_open(path, 'pt') as file:
        assert file.metadata() == {'format': 'pt', 'arch': 'nano'}
    assert [p.name for p in path.parent.iterdir()] == ['w.safetensors']
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match='safetensors'):
        save_tensors({}, tmp_path / 'w.pth')


@pytest.mark.parametrize('error', [KeyboardInterrupt, RuntimeError('no')], ids=['kill', 'error'])
def test_an_interruption_keeps_the_old_file(tmp_path, error):
    path = tmp_path / 'w'
    path.write_text('old')

    def write(part):
        part.write_text('half')
        raise error

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        atomic_write(path, write)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('step', ['write', 'flush'])
def test_a_full_disk_is_named(tmp_path, monkeypatch, step):
    path = tmp_path / 'w'

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    if step == 'flush':
        monkeypatch.setattr(save.os, 'fsync', full)
    with pytest.raises(OSError, match=r'the disk is full .* make room') as caught:
        atomic_write(path, full if step == 'write' else lambda part: part.write_text('x'))
    assert caught.value.errno == errno.ENOSPC
    assert str(path) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_safetensors_own_account_of_a_full_disk(tmp_path, monkeypatch):
    def full(tensors, part, notes):
        raise safetensors.SafetensorError('I/O error: No space left on device (os error 28)')

    monkeypatch.setattr(save.safetensors.torch, 'save_file', full)
    with pytest.raises(OSError, match='the disk is full') as caught:
        save_tensors({'a': torch.zeros(10)}, tmp_path / 'w.safetensors')
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_only_plain_files_are_replaced(tmp_path):
    folder, pipe = tmp_path / 'folder', tmp_path / 'pipe'
    folder.mkdir()
    os.mkfifo(pipe)  # stands for any device
    for path in (folder, pipe):
        with pytest.raises(ValueError, match='is not a plain file and is left alone'):
            atomic_write(path, lambda part: part.write_text('x'))
    assert pipe.is_fifo() and folder.is_dir()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(OSError, match=r'cannot write .*w\.bin'):
        atomic_write(tmp_path / 'file' / 'w.bin', lambda part: part.write_text('x'))
