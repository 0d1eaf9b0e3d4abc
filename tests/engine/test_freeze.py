"""FreezeUntilHook: which parameters move, in an unbroken run and in a resumed one."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mamba_dense.engine import FreezeUntilHook


def runner(epoch=0):
    model = nn.ModuleDict({'trunk': nn.Linear(3, 3), 'head': nn.Linear(3, 1)})
    return SimpleNamespace(model=model, epoch=epoch)


def step(runner):
    """One step of SGD with momentum and decay; the names of the parameters that moved."""
    model = runner.model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    model['head'](model['trunk'](torch.ones(2, 3))).sum().backward()
    optimizer.step()
    return {n.partition('.')[0] for n, p in model.named_parameters() if not p.equal(before[n])}


def test_parameters_move_from_the_epoch_on():
    hook, run = FreezeUntilHook(2, ['trunk']), runner()
    hook.before_train(run)
    moved = []
    for run.epoch in range(4):
        hook.before_train_epoch(run)
        moved.append(step(run))
    assert moved == [{'head'}, {'head'}, {'trunk', 'head'}, {'trunk', 'head'}]


@pytest.mark.parametrize(('epoch', 'moved'), [(1, {'head'}), (2, {'trunk', 'head'})])
def test_a_resumed_run_holds_the_same(epoch, moved):
    hook, run = FreezeUntilHook(2, ['trunk']), runner(epoch)
    hook.before_train(run)
    hook.before_train_epoch(run)
    assert step(run) == moved


def test_refusals():
    with pytest.raises(ValueError, match=r"'neck' has no parameter .* its parts are head, trunk"):
        FreezeUntilHook(1, ['trunk', 'neck']).before_train(runner())
    for epoch, modules in ((0, ['trunk']), (1, []), (1, 'trunk')):
        with pytest.raises(ValueError, match='must be 1 or more and modules'):
            FreezeUntilHook(epoch, modules)
