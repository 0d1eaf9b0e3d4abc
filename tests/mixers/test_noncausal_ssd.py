"""The non-causal SSD mixer and softmax attention against their formulas written out."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.mixers import NonCausalSSD, SelfAttention


def written_out(mixer, x):
    """One token and one head at a time, with the state as the plain sum over all tokens."""
    D, N, _ = mixer.sizes
    nh, P = mixer.heads, D // mixer.heads
    z, u, dt = mixer.in_proj(x).split((D, D + 2 * N, nh), dim=-1)
    u = F.conv2d(u.permute(0, 3, 1, 2), mixer.conv.weight, mixer.conv.bias, 1, 1, 1, D + 2 * N)
    u = F.silu(u).flatten(2).transpose(1, 2)  # (batch, L, D + 2N)
    weight = F.softplus(dt.flatten(1, 2) + mixer.dt_bias) * mixer.A_log.exp()
    rows = []
    for b in range(x.shape[0]):
        y = torch.zeros(u.shape[1], D, dtype=x.dtype)
        for h in range(nh):
            head = slice(h * P, (h + 1) * P)
            v, B, C = u[b, :, :D][:, head], u[b, :, D : D + N], u[b, :, D + N :]
            state = sum(torch.outer(B[j], weight[b, j, h] * v[j]) for j in range(u.shape[1]))
            y[:, head] = C @ state + mixer.D[h] * v
        rows.append(y)
    y = mixer.out_norm(torch.stack(rows)).view(z.shape)
    return mixer.out_proj(y * z)


@pytest.mark.parametrize('grid', [(1, 1), (1, 7), (5, 3)], ids=str)
def test_equals_the_formula(grid):
    torch.manual_seed(0)
    mixer = NonCausalSSD(12, 3, state=5).double()
    mixer.D.data.uniform_()
    x = torch.randn(2, *grid, 12, dtype=torch.float64)
    torch.testing.assert_close(mixer(x), written_out(mixer, x), rtol=1e-10, atol=1e-12)


def test_the_order_of_tokens_does_not_matter():
    torch.manual_seed(0)
    mixer = NonCausalSSD(8, 2, state=4).double()
    mixer.conv.weight.data.mul_(torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]]))  # each its own
    x = torch.randn(1, 1, 20, 8, dtype=torch.float64)
    order = torch.randperm(20)
    torch.testing.assert_close(mixer(x)[:, :, order], mixer(x[:, :, order]))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_a_large_map_stays_in_half_precision(dtype):
    """The sum over these tokens is beyond float16; the published form would return inf."""
    torch.manual_seed(0)
    mixer = NonCausalSSD(8, 2, state=4)
    mixer.dt_bias.data.fill_(4.0)
    mixer.A_log.data.fill_(3.0)
    x = torch.full((1, 128, 256, 8), 2.0) + 0.1 * torch.randn(1, 128, 256, 8)
    want = mixer(x)
    with torch.autocast('cpu', dtype=dtype):
        got = mixer(x)
    assert torch.isfinite(got).all()
    assert (got.float() - want).norm() <= 0.02 * want.norm()


def test_attention_equals_the_formula():
    torch.manual_seed(0)
    mixer = SelfAttention(12, 3).double()
    x = torch.randn(2, 3, 5, 12, dtype=torch.float64)
    q, k, v = mixer.qkv(x).flatten(1, 2).chunk(3, dim=-1)
    heads = []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / 2.0
        heads.append(scores.softmax(dim=-1) @ v[..., part])
    want = mixer.out_proj(torch.cat(heads, dim=-1)).view(x.shape)
    torch.testing.assert_close(mixer(x), want)


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: NonCausalSSD(8, 3), 'heads=3'),
        (lambda: NonCausalSSD(8, 2, state=0), 'state=0'),
        (lambda: SelfAttention(8, 3), 'heads=3'),
    ],
    ids=['heads', 'state', 'attention'],
)
def test_bad_options_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
