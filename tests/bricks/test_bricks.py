"""The bricks: shapes, equality with the plain torch form, errors."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.bricks import (
    ChannelLastConv2d,
    ConvDownsample,
    ConvStem,
    DropPath,
    Mlp,
    PatchEmbed,
    PatchMerging,
)
from mamba_dense.bricks import mlp as mlp_file


def test_channel_last_convolution_equals_torch():
    conv = ChannelLastConv2d(6, 8, 3, stride=2, padding=1).double()
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64)
    want = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, stride=2, padding=1)
    got = conv(x)
    assert got.is_contiguous()
    torch.testing.assert_close(got.permute(0, 3, 1, 2), want)


@pytest.mark.parametrize('size', [(4, 6), (5, 7), (1, 1)], ids=str)
@pytest.mark.parametrize('kind', [ConvDownsample, PatchMerging])
def test_downsampling_rounds_up(kind, size):
    y = kind(8, 12)(torch.randn(2, *size, 8))
    assert tuple(y.shape) == (2, -(-size[0] // 2), -(-size[1] // 2), 12)


def test_patch_merging_orders_rows_first():
    merge = PatchMerging(1, 4)
    merge.norm = torch.nn.Identity()
    merge.reduction = torch.nn.Identity()
    x = torch.arange(4.0).view(1, 2, 2, 1)  # 0 1 / 2 3
    assert merge(x).flatten().tolist() == [0.0, 2.0, 1.0, 3.0]


def test_stems():
    x = torch.randn(1, 33, 50, 3)
    assert tuple(PatchEmbed(3, 16)(x).shape) == (1, 8, 12, 16)
    assert tuple(ConvStem(3, 16)(x).shape) == (1, 9, 13, 16)
    with pytest.raises(ValueError, match='channels=15'):
        ConvStem(3, 15)


def test_mlp_keeps_the_shape():
    x = torch.randn(1, 2, 3, 8)
    assert Mlp(8, 32)(x).shape == x.shape


def test_a_large_map_passes_the_mlp_in_parts(monkeypatch):
    """Without gradients, and with the same result."""
    monkeypatch.setattr(mlp_file, 'CACHED', 32 * 10)
    block, x = Mlp(8, 32).double().eval(), torch.randn(2, 5, 7, 8, dtype=torch.float64)
    rows = []
    block.fc1.register_forward_hook(lambda _module, inputs, _out: rows.append(inputs[0].shape))
    want = block(x)
    assert rows == [(2, 5, 7, 8)]
    rows.clear()
    with torch.no_grad():
        got = block(x)
        assert [tuple(shape) for shape in rows] == [(10, 8)] * 7
        assert block(x[:, :0]).shape == (2, 0, 7, 8)
    assert got.is_contiguous()
    torch.testing.assert_close(got, want.detach(), rtol=1e-14, atol=1e-14)


def test_drop_path_drops_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    y = drop(torch.ones(4000, 2, 3))
    values = y.flatten(1)
    assert set(values.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (values.min(1).values == values.max(1).values).all()
    assert abs(y.mean().item() - 1.0) < 0.05
    assert torch.equal(drop.eval()(y), y)


def test_drop_path_of_one_is_refused():
    with pytest.raises(ValueError, match=r'rate=1.0'):
        DropPath(1.0)
