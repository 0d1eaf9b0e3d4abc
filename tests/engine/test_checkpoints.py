"""Whole files or none."""

import errno
import os

import pytest
import torch

from mamba_dense.engine import checkpoints
from mamba_dense.engine.checkpoints import is_whole, last_whole_checkpoint, write_whole


def test_write_replaces(tmp_path):
    file = tmp_path / 'new' / 'file.pth'
    write_whole(file, b'one')
    write_whole(file, b'two')
    assert file.read_bytes() == b'two'
    assert list(file.parent.iterdir()) == [file]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / 'file.pth'
    write_whole(file, b'one')

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints.os, 'fsync', full)
    with pytest.raises(OSError, match='file.pth could not be saved .No space') as caught:
        write_whole(file, b'two')
    assert caught.value.errno == errno.ENOSPC
    assert file.read_bytes() == b'one'
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize('kept', [0, 10, 500, -1])
def test_cut_files_are_not_whole(tmp_path, kept):
    file = tmp_path / 'iter_1.pth'
    torch.save({'weight': torch.rand(100)}, file)
    assert is_whole(file)
    file.write_bytes(file.read_bytes()[:kept])
    assert not is_whole(file)


def test_changed_byte_is_seen(tmp_path):
    file = tmp_path / 'iter_1.pth'
    torch.save({'weight': torch.zeros(1000)}, file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert not is_whole(file)


def test_last_whole_checkpoint(tmp_path):
    assert last_whole_checkpoint(tmp_path / 'nowhere') is None
    for name in ('iter_8.pth', 'iter_16.pth', 'best_mDice_iter_99.pth'):
        torch.save({'weight': torch.rand(10)}, tmp_path / name)
    (tmp_path / 'iter_24.pth').write_bytes(b'PK')
    (tmp_path / 'iter_32.pth.12.part').write_bytes(b'PK')
    assert last_whole_checkpoint(tmp_path).name == 'iter_16.pth'
