"""MS2D against the published form, which concatenates reordered copies of the halved map."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.bricks import SqueezeExcite
from mamba_dense.mixers import MultiScaleSS2D


def scan(mixer, s, k):
    """One sequence s (B, L, D) with parameter set k, step by step."""
    R, N = mixer.rank, mixer.state
    dt, b, c = (s @ mixer.x_proj_weight[k].T).split([R, N, N], dim=-1)
    delta = F.softplus(dt @ mixer.dt_proj_weight[k].T + mixer.dt_proj_bias[k])
    A = -torch.exp(mixer.A_log[k])  # (D, N)
    state = s.new_zeros(s.shape[0], s.shape[2], N)
    steps = []
    for t in range(s.shape[1]):
        decay = torch.exp(delta[:, t, :, None] * A)
        state = decay * state + (delta[:, t] * s[:, t])[..., None] * b[:, t, None]
        steps.append((state * c[:, t, None]).sum(-1) + mixer.D[k] * s[:, t])
    return torch.stack(steps, dim=1)


def published(mixer, x):
    """Both sequences written out; every part of the low one is put back by hand."""
    u = mixer.in_proj(x)
    gate = None
    if mixer.gated:
        u, gate = u.chunk(2, dim=-1)
    B, H, W, D = u.shape
    u = u.permute(0, 3, 1, 2)
    f = F.silu(F.conv2d(u, mixer.conv.weight, mixer.conv.bias, 1, 1, 1, D))
    g = F.silu(F.conv2d(u, mixer.conv_low.weight, mixer.conv_low.bias, 2, 3, 1, D))
    h, w = g.shape[2:]
    rows, columns = g.flatten(2), g.transpose(2, 3).flatten(2)  # (B, D, l)
    low = torch.cat([rows.flip(-1), columns, columns.flip(-1)], dim=-1).transpose(1, 2)
    first = mixer.norm_first
    y_low = scan(mixer, low, 0 if first else 1)
    y = scan(mixer, f.flatten(2).transpose(1, 2), 1 if first else 0)
    if first:
        y_low, y = mixer.out_norm(y_low), mixer.out_norm(y)
    a, b, c = (part.transpose(1, 2) for part in y_low.chunk(3, dim=1))  # 3 x (B, D, l)
    vertical = (b + c.flip(-1)).view(B, D, w, h).transpose(2, 3)
    merged = a.flip(-1).view(B, D, h, w) + vertical
    mode = dict(mode='bilinear', align_corners=False) if first else dict(mode='nearest')
    y = y.view(B, H, W, D) + F.interpolate(merged, (H, W), **mode).permute(0, 2, 3, 1)
    if not first:
        y = mixer.out_norm(y)
    squeeze, excite = mixer.channel_gate.fc1.weight, mixer.channel_gate.fc2.weight
    y = y * torch.sigmoid(F.relu(y.mean((1, 2)) @ squeeze.T) @ excite.T)[:, None, None]
    return mixer.out_proj(y if gate is None else y * F.silu(gate))


@pytest.mark.parametrize('grid', [(1, 1), (1, 7), (6, 1), (5, 7)], ids=str)
@pytest.mark.parametrize(
    'options',
    [
        dict(ratio=2.0, gated=True, norm_first=True),
        dict(),
        dict(gated=True, state=2),
    ],
    ids=['first', 'v3', 'v3-gated'],
)
def test_equals_the_published_form(grid, options):
    torch.manual_seed(0)
    mixer = MultiScaleSS2D(18, **options).double()
    x = torch.randn(2, *grid, 18, dtype=torch.float64, requires_grad=True)
    want = published(mixer, x)
    got = mixer(x)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    inputs = [x, *mixer.parameters()]
    weight = torch.randn_like(want)
    wanted = torch.autograd.grad((want * weight).sum(), inputs)
    for ours, theirs in zip(torch.autograd.grad((got * weight).sum(), inputs), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_gate_needs_channels():
    with pytest.raises(ValueError, match='hidden=0 between 7 channels'):
        SqueezeExcite(7, 7 // 8)
