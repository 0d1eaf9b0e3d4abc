"""tools/train.py: killed and resumed, in two processes, on bad input."""

import signal

import pytest
import torch

from mamba_dense.segmentation.prepare import write_sample

from .training import losses, train_here, train_there, weights, write_config

# kills the process at a chosen moment, as the power cut or the scheduler would
_KILLER = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class KillHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == int(os.environ['KILL_BEFORE']):
            os.kill(os.getpid(), signal.SIGKILL)
        if runner.iter == int(os.environ['KILL_WRITING']) - 1:
            os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
"""
_KILLED = """
custom_imports = dict(imports=['killer'], allow_failed_imports=False)
custom_hooks = [dict(type='KillHook')]
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_sample('nuclei', tmp_path_factory.mktemp('data') / 'nuclei')


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """An uninterrupted run: its losses, its work folder."""
    folder = tmp_path_factory.mktemp('whole')
    return train_here(write_config(folder, data), folder / 'work'), folder / 'work'


def killed(folder, data, before=-1, writing=-1):
    """A run that was killed; its work folder."""
    (folder / 'killer.py').write_text(_KILLER)
    config = write_config(folder, data, _KILLED)
    result = train_there(
        [config, '--work-dir', folder / 'work'],
        KILL_BEFORE=str(before),
        KILL_WRITING=str(writing),
        PYTHONPATH=str(folder),
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    return folder / 'work'


def assert_same_run(expected, got):
    """Two runs took the very same way."""
    assert len(expected[0]) == 12
    assert got[0] == expected[0]
    ours, theirs = weights(got[1]), weights(expected[1])
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_killed_between_checkpoints(whole, data, tmp_path):
    work = killed(tmp_path, data, before=10)
    got = train_here(write_config(tmp_path, data), work, resume='auto')
    assert_same_run(whole, (got, work))


def test_killed_while_saving_and_previous_one_damaged(whole, data, tmp_path, caplog):
    work = killed(tmp_path, data, writing=12)
    assert [file.name for file in sorted(work.glob('iter_*.pth'))] == ['iter_4.pth', 'iter_8.pth']
    assert list(work.glob('*.part'))
    newest = work / 'iter_8.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    got = train_here(
        write_config(tmp_path, data), work, resume='auto', train_dataloader__num_workers=2
    )
    assert not list(work.glob('*.part'))
    assert_same_run(whole, (got, work))


def test_two_processes_train_as_one(data, tmp_path):
    # no dropout: its masks are drawn in each process over its own half of the batch. The norms are
    # SyncBN, so that the statistics are those of the whole batch.
    plain = """
model['decode_head']['dropout_ratio'] = 0.0
model['auxiliary_head']['dropout_ratio'] = 0.0
"""
    (tmp_path / 'one').mkdir()
    one = train_here(write_config(tmp_path / 'one', data, plain), tmp_path / 'one' / 'work')
    config = write_config(tmp_path, data, f'{plain}train_dataloader["batch_size"] = 2\n')
    result = train_there([config, '--work-dir', tmp_path / 'work'], processes=2)
    assert result.returncode == 0, result.stderr
    assert 'SyncBN becomes mamba_dense.ProcessSyncBN' in result.stdout + result.stderr
    assert losses(tmp_path / 'work') == pytest.approx(one, rel=1e-5)
    two, whole = weights(tmp_path / 'work'), weights(tmp_path / 'one' / 'work')
    assert two.keys() == whole.keys()
    for name in whole:
        torch.testing.assert_close(two[name], whole[name], rtol=1e-3, atol=1e-5, msg=name)
