"""The running statistics of batch norms, where a forward pass is repeated."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The batch norms below a module that keep running statistics."""
    found = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    return [norm for norm in found if norm.running_mean is not None]


@contextmanager
def held_statistics(norms: list[_BatchNorm]) -> Iterator[None]:
    """Within it the norms see batches without counting them a second time."""
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)
