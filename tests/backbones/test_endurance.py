"""A thousand steps of half-precision training on inputs thirty times too large stay finite."""

import pytest
import torch
from torch import nn

from mamba_dense.backbones import Vim, VMamba

STEPS, SCALE, RATE = 1000, 30.0, 1e-3


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=['bfloat16', 'float16'])
@pytest.mark.parametrize('kind', [VMamba, Vim], ids=lambda kind: kind.__name__)
def test_nano_stays_finite(kind, dtype):
    """Autocast, AdamW at 1e-3, no warm-up and no clipping of gradients: nothing is skipped."""
    model = kind('nano').train()
    head = nn.Linear(model.out_channels[-1], 2)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    losses = []
    for step in range(STEPS):
        inputs = SCALE * torch.randn(2, 3, 32, 32)
        labels = (inputs.mean((1, 2, 3)) > 0).long()
        with torch.autocast('cpu', dtype=dtype):
            logits = head(model(inputs)[-1].mean((2, 3)))
        loss = nn.functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients), f'gradient, step {step}'
        optimizer.step()
        losses.append(loss.item())
    assert torch.tensor(losses).isfinite().all()
    assert all(parameter.isfinite().all() for parameter in parameters)
