"""Residual blocks: grids and widths, drop path, the start, refusals."""

import pytest
import torch

from mamba_dense.bricks import ResidualBlock, init_he, per_axis, residual_blocks


def test_strides_round_up_and_kernels_are_by_axis():
    block = ResidualBlock(3, 2, 4, kernel=(1, 3, 3), stride=(1, 2, 2))
    assert block.conv1.kernel_size == (1, 3, 3) and block.conv3.kernel_size == (1, 1, 1)
    assert block(torch.randn(1, 2, 3, 5, 8)).shape == (1, 4, 3, 3, 4)


def test_a_stage_projects_once():
    blocks = residual_blocks(2, 3, 8, 3, kernel=3, stride=2)
    assert [block.conv3 is None for block in blocks] == [False, True, True]
    assert torch.nn.Sequential(*blocks)(torch.randn(1, 3, 8, 8)).shape == (1, 8, 4, 4)


def test_a_dropped_branch_leaves_the_shortcut():
    block = ResidualBlock(2, 4, 4, project=False, drop_path=0.5).train()
    x = torch.rand(64, 4, 4, 4)  # positive: the last activation changes nothing
    same = (block(x) == x).flatten(1).all(1)
    assert 10 < int(same.sum()) < 54


def test_start():
    block = ResidualBlock(2, 64, 64)
    init_he(block)
    assert float(block.conv1.weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not block.conv3.bias.any()


def test_refusals():
    with pytest.raises(ValueError, match=r'2 to 4 channels and stride=\(1, 1\) needs project=True'):
        ResidualBlock(2, 2, 4, project=False)
    with pytest.raises(ValueError, match=r'kernel=\(3, 3\) must be one number .* or 3 of them'):
        ResidualBlock(3, 2, 4, kernel=(3, 3))
    with pytest.raises(ValueError, match='stride=0'):
        per_axis('stride', 0, 2)
    assert per_axis('stride', [1, 2], 2) == (1, 2)
