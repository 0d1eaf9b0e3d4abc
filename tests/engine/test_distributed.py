"""Norms over several processes, and configs fitted to how many there are."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from torch import nn

from mamba_dense.engine import distributed
from mamba_dense.engine.amp import use_amp
from mamba_dense.engine.distributed import ProcessSyncBN, settle, start, stop, swap_types


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return str(found.getsockname()[1])


def half_a_batch(rank, port, x, folder):
    """One of two processes: norm its half of `x`, save output, gradients and statistics."""
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    norm = ProcessSyncBN(3)
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    half = x[rank::2].clone().requires_grad_()
    y = norm(half)
    (y * torch.arange(y.shape[-1])).square().sum().backward()
    found = {'y': y.detach(), 'dx': half.grad, 'dw': norm.weight.grad, **norm.state_dict()}
    torch.save(found, folder / f'{rank}.pt')
    dist.destroy_process_group()


def test_norm_over_two_processes_is_that_of_the_whole_batch(tmp_path):
    x = 5 + torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    arguments = (free_port(), x, tmp_path)
    torch.multiprocessing.spawn(half_a_batch, arguments, nprocs=2)
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    whole = x.clone().requires_grad_()
    y = norm(whole)
    (y * torch.arange(y.shape[-1])).square().sum().backward()
    parts = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    for rank, part in enumerate(parts):
        torch.testing.assert_close(part['y'], y.detach()[rank::2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(part['dx'], whole.grad[rank::2], rtol=1e-4, atol=1e-4)
        for name in ('running_mean', 'running_var'):
            torch.testing.assert_close(part[name], norm.state_dict()[name])
    torch.testing.assert_close(parts[0]['dw'] + parts[1]['dw'], norm.weight.grad, rtol=1e-4, atol=1)


def test_norm_in_one_process_is_batch_norm():
    ours, theirs, x = ProcessSyncBN(3), nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4)
    assert torch.equal(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def config():
    norm = {'type': 'SyncBN'}
    heads = [{'norm_cfg': norm}, {'type': 'SyncBN'}]
    return Config({'model': {'norm_cfg': dict(norm), 'heads': heads}, 'optim_wrapper': {}})


def test_sync_bn_becomes_bn_in_one_process():
    cfg = config()
    assert settle(cfg) == ['SyncBN becomes BN: this is a run of one process.']
    assert swap_types(cfg.model, {'BN'}, 'BN') == 3
    assert settle(cfg) == []


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launchers_on_the_cpu(launcher, monkeypatch):
    for name, value in zip(distributed._ENVIRONMENT[launcher], '010', strict=True):
        monkeypatch.setenv(name, value)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.setenv(name, os.environ.get(name, ''))
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', free_port())
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
    start(launcher, {})
    try:
        assert dist.get_backend() == 'gloo'
        cfg = config()
        assert len(settle(cfg)) == 1
        assert swap_types(cfg.model, {'mamba_dense.ProcessSyncBN'}, 'BN') == 3
        assert cfg.model_wrapper_cfg.device_ids is None
    finally:
        stop()
    assert not dist.is_initialized()


def test_mixed_precision_wrappers(monkeypatch):
    cfg = config()
    monkeypatch.setattr('mamba_dense.engine.amp.get_device', lambda: 'cpu')
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'mamba_dense.BFloat16OptimWrapper'
    monkeypatch.setattr('mamba_dense.engine.amp.get_device', lambda: 'cuda')
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ValueError, match="optim_wrapper.type='ApexOptimWrapper'"):
        use_amp(cfg)
