"""tools/train.py: killed and resumed, in two processes, on bad input."""

import json
import shutil
import signal

import pytest
import torch
from mmengine.config import Config

from mamba_dense.engine.evaluate import evaluate, use_tta
from mamba_dense.segmentation.prepare import write_sample

from .training import losses, scores, train_here, train_there, weights, write_config

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


@pytest.fixture(scope='module', params=['conv', pytest.param('nano', marks=pytest.mark.full)])
def network(request):
    return request.param


@pytest.fixture(scope='module')
def whole(network, data, tmp_path_factory):
    """An uninterrupted run: its losses, its work folder."""
    folder = tmp_path_factory.mktemp('whole')
    config = write_config(folder, data, network=network)
    return train_here(config, folder / 'work'), folder / 'work'


def killed(config, before=-1, writing=-1):
    """A run that was killed; its work folder."""
    folder = config.parent
    (folder / 'killer.py').write_text(_KILLER)
    config = config.rename(folder / 'killed.py')
    config.write_text(config.read_text() + _KILLED)
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


def test_killed_between_checkpoints(whole, network, data, tmp_path):
    work = killed(write_config(tmp_path, data, network=network), before=10)
    config = write_config(tmp_path, data, network=network)
    got = train_here(config, work, resume='auto')
    assert_same_run(whole, (got, work))


def test_killed_while_saving_and_previous_one_damaged(whole, network, data, tmp_path):
    work = killed(write_config(tmp_path, data, network=network), writing=12)
    assert [file.name for file in sorted(work.glob('iter_*.pth'))] == ['iter_4.pth', 'iter_8.pth']
    assert list(work.glob('*.part'))
    newest = work / 'iter_8.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    config = write_config(tmp_path, data, network=network)
    got = train_here(config, work, resume='auto', train_dataloader__num_workers=2)
    assert not list(work.glob('*.part'))
    assert_same_run(whole, (got, work))


def test_checkpoints_kept(whole):
    """The last two, the best one, and the file that names the last."""
    names = sorted(file.name for file in whole[1].iterdir() if file.is_file())
    assert [name for name in names if name.startswith('iter_')] == ['iter_12.pth', 'iter_8.pth']
    assert len([name for name in names if name.startswith('best_')]) == 1
    assert (whole[1] / 'last_checkpoint').read_text().endswith('iter_12.pth')


def test_killed_before_the_last_validation(whole, network, data, tmp_path):
    shutil.copytree(whole[1], tmp_path / 'work')
    before = scores(tmp_path / 'work')
    config = write_config(tmp_path, data, network=network)
    assert train_here(config, tmp_path / 'work', resume='auto') == whole[0]
    after = scores(tmp_path / 'work')
    assert after == [*before, before[-1]]


def test_notice_of_batch_norm(whole, network):
    log = next(whole[1].glob('*/*.log')).read_text()
    assert ('SyncBN becomes BN' in log) == (network == 'conv')


def test_two_processes_train_as_one(network, data, tmp_path):
    # no dropout: its masks are drawn in each process over its own half of the batch. The norms are
    # SyncBN, whose statistics are those of the whole batch, or GroupNorm, which has none.
    plain = """
model.setdefault('decode_head', {})['dropout_ratio'] = 0.0
model.setdefault('auxiliary_head', {})['dropout_ratio'] = 0.0
"""
    if network == 'nano':
        plain += "model['backbone'] = dict(drop_path_rate=0.0)\n"
    (tmp_path / 'one').mkdir()
    config = write_config(tmp_path / 'one', data, plain, network)
    one = train_here(config, tmp_path / 'one' / 'work')
    half = f'{plain}train_dataloader["batch_size"] = 2\n'
    config = write_config(tmp_path, data, half, network)
    result = train_there([config, '--work-dir', tmp_path / 'work'], processes=2)
    assert result.returncode == 0, result.stderr
    notice = 'SyncBN becomes mamba_dense.ProcessSyncBN' in result.stdout + result.stderr
    assert notice == (network == 'conv')
    assert losses(tmp_path / 'work') == pytest.approx(one, rel=1e-5)
    two, whole = weights(tmp_path / 'work'), weights(tmp_path / 'one' / 'work')
    assert two.keys() == whole.keys()
    # as a whole: Adam blows up rounding where a gradient is all but zero
    ours, theirs = (torch.cat([x.flatten().double() for x in w.values()]) for w in (two, whole))
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


def test_mixed_precision(network, data, tmp_path):
    config = write_config(tmp_path, data, network=network)
    got = train_here(config, tmp_path / 'work', amp=True, train_cfg__max_iters=4)
    assert len(got) == 4
    assert all(0.1 < loss < 2 for loss in got)
    kept = weights(tmp_path / 'work', 'iter_4.pth').values()
    assert {tensor.dtype for tensor in kept} <= {torch.float32, torch.int64}


def test_scores_of_a_checkpoint(whole, network, data, tmp_path):
    cfg = Config.fromfile(write_config(tmp_path, data, network=network))
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer.name = cfg.experiment_name = f'test_{network}'
    found = evaluate(cfg, str(whole[1] / 'iter_12.pth'), out=tmp_path / 'scores.json')
    assert json.loads((tmp_path / 'scores.json').read_text()) == found
    assert found['Dice.nucleus'] == pytest.approx(scores(whole[1])[-1], abs=0.01)


_FLIPPED = """
tta_model = dict(type='SegTTAModel')
tta_pipeline = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=[
    [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in (0.5, 1.0)],
    [dict(type='RandomFlip', prob=float(flip), direction='horizontal') for flip in (0, 1)],
    [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
"""


def test_scores_over_scales_and_flips(whole, network, data, tmp_path):
    cfg = Config.fromfile(write_config(tmp_path, data, _FLIPPED, network))
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer.name = cfg.experiment_name = f'flipped_{network}'
    found = evaluate(cfg, str(whole[1] / 'iter_12.pth'), tta=True)
    assert 0 <= found['Dice.nucleus'] <= 100
    plain = Config.fromfile(write_config(tmp_path, data, 'tta_model = None\n', network))
    with pytest.raises(ValueError, match='--tta needs tta_model, tta_pipeline in the config'):
        use_tta(plain)


def test_checkpoint_of_another_network_is_refused(whole, network, data, tmp_path):
    other = {'conv': 'nano', 'nano': 'conv'}[network]
    cfg = Config.fromfile(write_config(tmp_path, data, network=other))
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer.name = cfg.experiment_name = f'other_{network}'
    with pytest.raises(ValueError, match='iter_12.pth'):
        evaluate(cfg, str(whole[1] / 'iter_12.pth'))
