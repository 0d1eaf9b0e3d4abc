"""The multi-head scan: fusion by hand, routes that agree, heads apart, refusals."""

import pytest
import torch

from mamba_dense.mixers import MultiHeadMixer, MultiHeadScan, ScanHead, gated_fusion


def test_fusion_by_hand():
    """Routes 1, 2, 3, 6: sum 12, deviation sqrt(14 / 3), mean above the least 2."""
    y = torch.tensor([1.0, 2.0, 3.0, 6.0])[:, None]
    expected = 12 * ((14 / 3) ** 0.5 / (2 + 1e-5) - 0.25)
    torch.testing.assert_close(gated_fusion(y, 0.25), torch.tensor([expected]))
    assert not gated_fusion(y, 2.0).any()


def test_routes_that_agree_give_nothing_and_a_finite_gradient():
    y = torch.full((1, 4, 3), 0.7, requires_grad=True)
    found = gated_fusion(y, 0.0)
    assert not found.any()
    found.sum().backward()
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize('grid', [(1, 1), (1, 5), (3, 2), (7, 4)], ids=str)
def test_gradients_are_finite_on_every_grid(grid):
    torch.manual_seed(0)
    mixer = MultiHeadMixer(8, heads=4, state=4)
    x = torch.randn(2, *grid, 8, requires_grad=True)
    mixer(x).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in mixer.parameters() if p.grad is not None)


def test_a_head_sees_its_own_channels_alone():
    torch.manual_seed(0)
    scan = MultiHeadScan(12, heads=3, state=2, project=False).eval()
    with torch.no_grad():
        scan.project.weight.copy_(torch.eye(12))
        x = torch.randn(1, 4, 5, 12)
        want = scan(x)
        x[..., 4:8] += 1.0
        found = scan(x)
    changed = (found != want).any(dim=0).any(dim=0).any(dim=0)
    assert changed[4:8].any()
    assert not changed[:4].any()
    assert not changed[8:].any()


def test_routes_are_back_at_their_tokens():
    """With a step size near 0 and D = 1 a route hands each token on: the token itself returns."""
    head = ScanHead(4, state=2, routes='spiral', threshold=0.0)
    with torch.no_grad():
        head.dt_proj_weight.zero_()
        head.dt_proj_bias.fill_(-40.0)
        x = torch.randn(1, 3, 5, 4)
        torch.testing.assert_close(head.scan(x), x.unsqueeze(3).expand(-1, -1, -1, 4, -1))


def test_refusals():
    with pytest.raises(ValueError, match='heads=2 must be 3 or 4'):
        MultiHeadScan(8, heads=2)
    with pytest.raises(ValueError, match='threshold=-1 0 or more'):
        MultiHeadScan(8, threshold=-1)
    with pytest.raises(ValueError, match='channels=10 must be a multiple of heads=4'):
        MultiHeadScan(10, heads=4, project=False)
