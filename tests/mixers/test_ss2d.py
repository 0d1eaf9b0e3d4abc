"""SS2D against the published form, which copies the map once per route."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.mixers import SS2D, CascadeSS2D


def published(mixer, x):
    """VMamba's SS2D written out: four copies, four sequential scans, four copies back."""
    u = mixer.in_proj(x)
    gate = None
    if mixer.gated:
        u, gate = u.chunk(2, dim=-1)
    B, H, W, D = u.shape
    u = F.conv2d(u.permute(0, 3, 1, 2), mixer.conv.weight, mixer.conv.bias, padding=1, groups=D)
    u = F.silu(u)  # (B, D, H, W)
    rows, columns = u.flatten(2), u.transpose(2, 3).flatten(2)  # (B, D, L)
    copies = [rows, columns, rows.flip(-1), columns.flip(-1)]
    R, N = mixer.rank, mixer.state
    merged = torch.zeros_like(rows)
    for k, s in enumerate(copies):
        p = torch.einsum('cd,bdl->bcl', mixer.x_proj_weight[k], s)
        dt, b, c = p.split([R, N, N], dim=1)
        delta = F.softplus(
            torch.einsum('dr,brl->bdl', mixer.dt_proj_weight[k], dt)
            + mixer.dt_proj_bias[k][:, None]
        )
        A = -torch.exp(mixer.A_log[k])  # (D, N)
        state = s.new_zeros(B, D, N)
        steps = []
        for t in range(H * W):
            decay = torch.exp(delta[:, :, t, None] * A)
            state = decay * state + (delta[:, :, t] * s[:, :, t])[..., None] * b[:, None, :, t]
            steps.append((state * c[:, None, :, t]).sum(-1) + mixer.D[k] * s[:, :, t])
        y = torch.stack(steps, dim=-1)
        if k >= 2:
            y = y.flip(-1)
        if k % 2:
            y = y.view(B, D, W, H).transpose(2, 3).flatten(2)
        merged = merged + y
    y = mixer.out_norm(merged.transpose(1, 2)).view(B, H, W, D)
    return mixer.out_proj(y if gate is None else y * F.silu(gate))


@pytest.mark.parametrize('grid', [(1, 7), (6, 1), (5, 7), (8, 4)], ids=str)
@pytest.mark.parametrize(
    'options',
    [{}, dict(ratio=2.0, state=4, conv_bias=True, gated=True)],
    ids=['current', 'vanilla'],
)
def test_equals_the_published_form(grid, options):
    torch.manual_seed(0)
    mixer = SS2D(18, **options).double()
    x = torch.randn(2, *grid, 18, dtype=torch.float64, requires_grad=True)
    want = published(mixer, x)
    got = mixer(x)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    inputs = [x, *mixer.parameters()]
    weight = torch.randn_like(want)
    expected = torch.autograd.grad((want * weight).sum(), inputs)
    gradients = torch.autograd.grad((got * weight).sum(), inputs)
    names = ['x', *(name for name, _ in mixer.named_parameters())]
    for name, a, b in zip(names, gradients, expected, strict=True):
        torch.testing.assert_close(
            a, b, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f'{name}: {text}'
        )


@pytest.mark.parametrize('kind', [SS2D, CascadeSS2D])
def test_shapes_and_initialisation(kind):
    torch.manual_seed(0)
    mixer = kind(20, ratio=2.0, state=3)
    assert mixer.rank == 2
    assert tuple(mixer.x_proj_weight.shape) == (4, 2 + 6, 40)
    A = -torch.exp(mixer.A_log)
    torch.testing.assert_close(A[0, 0], torch.tensor([-1.0, -2.0, -3.0]))
    steps = F.softplus(mixer.dt_proj_bias)
    assert steps.min() >= 1e-4 * 0.999
    assert steps.max() <= 0.1 * 1.001
    x = torch.randn(1, 3, 5, 20)
    assert mixer(x).shape == x.shape


def test_parameters_of_a_half_network_stay_half():
    mixer = SS2D(16).to(torch.bfloat16)
    y = mixer(torch.randn(1, 4, 4, 16, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert torch.isfinite(y).all()


def test_no_inner_channel_is_refused():
    with pytest.raises(ValueError, match='ratio=0.01'):
        SS2D(16, ratio=0.01)
