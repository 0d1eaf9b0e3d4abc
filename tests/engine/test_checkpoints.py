"""Whole files or none."""

import errno
import os

import pytest
import torch

from mamba_dense.engine.checkpoints import WholeFileBackend, is_whole, last_whole_checkpoint
from mamba_dense.engine.train import checkpoint_seed
from mamba_dense.weights import save


def test_write_replaces(tmp_path):
    file = tmp_path / 'new' / 'file.pth'
    WholeFileBackend().put(b'one', file)
    WholeFileBackend().put(b'two', file)
    assert file.read_bytes() == b'two'
    assert list(file.parent.iterdir()) == [file]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / 'file.pth'
    WholeFileBackend().put(b'one', file)

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(save.os, 'fsync', full)
    with pytest.raises(
        OSError, match='file.pth: the disk is full .* 0.0 MB are needed; .*--resume'
    ) as caught:
        WholeFileBackend().put(b'two', file)
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


def test_the_seed_of_a_run_is_read_without_running_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / 'made by the file'),))

    torch.save({'meta': {'seed': 7, 'cfg': 'x = 1'}, 'state_dict': {}}, tmp_path / 'a.pth')
    assert checkpoint_seed(str(tmp_path / 'a.pth')) == 7
    torch.save({'state_dict': {}}, tmp_path / 'b.pth')
    assert checkpoint_seed(str(tmp_path / 'b.pth')) is None
    torch.save({'meta': {'seed': 7}, 'hidden': Hostile()}, tmp_path / 'c.pth')
    with pytest.raises(ValueError, match='it is refused'):
        checkpoint_seed(str(tmp_path / 'c.pth'))
    assert not (tmp_path / 'made by the file').exists()
