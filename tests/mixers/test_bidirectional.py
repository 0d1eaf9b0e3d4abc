"""The bidirectional mixer against the published form, which turns the sequence round."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.mixers import BidirectionalMixer


def branch(part, x, gate, state):
    """One causal branch written out, over x in the order it walks."""
    B, L, D = x.shape
    padded = F.pad(x, (0, 0, 3, 0))
    x = part.conv.bias + sum(part.conv.weight[:, 0, j] * padded[:, j : j + L] for j in range(4))
    x = F.silu(x)
    p = x @ part.x_proj_weight.T
    dt, b, c = p.split([part.dt_proj_weight.shape[1], state, state], dim=-1)
    delta = F.softplus(dt @ part.dt_proj_weight.T + part.dt_proj_bias)
    A = -torch.exp(part.A_log)
    h = x.new_zeros(B, D, state)
    steps = []
    for t in range(L):
        step = (delta[:, t] * x[:, t])[..., None] * b[:, t, None]
        h = torch.exp(delta[:, t, :, None] * A) * h + step
        steps.append((h * c[:, t, None]).sum(-1) + part.D * x[:, t])
    return torch.stack(steps, dim=1) * F.silu(gate)


def published(mixer, x, state):
    u, gate = mixer.in_proj(x).chunk(2, dim=-1)
    ahead = branch(mixer.ahead, u, gate, state)
    back = branch(mixer.back, u.flip(1), gate.flip(1), state).flip(1)
    y = mixer.out_proj((ahead + back) / 2 if mixer.mean else ahead + back)
    return y if mixer.gamma is None else y * mixer.gamma


@pytest.mark.parametrize('length', [1, 2, 3, 7, 65])
@pytest.mark.parametrize(
    'options',
    [{}, dict(mean=False, layer_scale=0.1), dict(ratio=1.0, state=3)],
    ids=['published', 'sum and scale', 'one wide'],
)
def test_equals_the_published_form(length, options):
    mixer = BidirectionalMixer(18, **options).double()
    x = torch.randn(2, length, 18, dtype=torch.float64, requires_grad=True)
    want = published(mixer, x, options.get('state', 16))
    got = mixer(x)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    weight = torch.randn_like(want)
    inputs = [x, *mixer.parameters()]
    for a, b in zip(
        torch.autograd.grad((got * weight).sum(), inputs),
        torch.autograd.grad((want * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


def test_a_grid_is_walked_in_raster_order():
    mixer = BidirectionalMixer(16)
    x = torch.randn(2, 3, 5, 16)
    torch.testing.assert_close(mixer(x).flatten(1, 2), mixer(x.flatten(1, 2)))


@pytest.mark.parametrize('part', ['ahead', 'back'])
def test_branches_are_causal_in_their_direction(part):
    mixer = BidirectionalMixer(16)
    x = torch.randn(1, 9, 32)
    y = x.clone()
    y[:, 4] += 1.0
    changed = (getattr(mixer, part)(x) != getattr(mixer, part)(y)).any(dim=-1)[0]
    seen = range(4, 9) if part == 'ahead' else range(5)
    assert changed.nonzero().flatten().tolist() == list(seen)


def test_the_published_start():
    mixer = BidirectionalMixer(32)
    assert not mixer.back.dt_proj_bias.any()
    steps = F.softplus(mixer.ahead.dt_proj_bias)
    assert 9e-5 < steps.min() and steps.max() < 0.11
    for part in (mixer.ahead, mixer.back):
        assert torch.equal(part.A_log.exp().round(), torch.arange(1.0, 17.0).expand(64, 16))
        assert (part.D == 1).all()


@pytest.mark.parametrize('options', [dict(ratio=0.0), dict(state=0)], ids=str)
def test_bad_sizes_are_named(options):
    with pytest.raises(ValueError, match='at least'):
        BidirectionalMixer(16, **options)
