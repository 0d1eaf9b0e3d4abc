"""The bricks: shapes, equality with the plain torch form, errors."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.bricks import (
    ChannelLastConv2d,
    ConvDownsample,
    ConvNorm,
    ConvStem,
    DropPath,
    ExtendedFPN,
    MixerBlock,
    Mlp,
    PatchEmbed,
    PatchMerging,
    SqueezeExcite,
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


@pytest.mark.parametrize('relu', [False, True])
def test_conv_norm_equals_torch(relu):
    layer = ConvNorm(6, 12, 3, stride=2, groups=6, relu=relu, start=0.5).double()
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64)
    y = F.conv2d(x.permute(0, 3, 1, 2), layer.conv.weight, stride=2, padding=1, groups=6)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), False, True) + 1e-5).sqrt() / 2
    got = layer(x)
    assert got.is_contiguous()
    torch.testing.assert_close(got.permute(0, 3, 1, 2), y.relu() if relu else y)


def test_squeeze_excite_of_either_kind():
    conv, linear = SqueezeExcite(8, 2), SqueezeExcite(8, 2, linear=True)
    linear.load_state_dict({k: v.reshape(v.shape[:2]) for k, v in conv.state_dict().items()})
    x = torch.randn(2, 3, 5, 8)
    torch.testing.assert_close(conv(x), linear(x))
    # what is the same everywhere in one picture scales it alone
    torch.testing.assert_close(conv(x)[:1], conv(x[:1]))
    assert SqueezeExcite(8, 2, bias=False).fc1.bias is None


def test_mixer_block_norms_before_or_after():
    block = MixerBlock(4, torch.nn.Identity(), torch.nn.Identity(), post_norm=True)
    x = torch.randn(1, 2, 3, 4)
    u = x + F.layer_norm(x, (4,))
    torch.testing.assert_close(block(x), u + F.layer_norm(u, (4,)))
    block = MixerBlock(4, torch.nn.Identity())
    assert block.norm2 is None
    torch.testing.assert_close(block(x), u)


def test_extended_fpn_without_norms():
    maps = [torch.randn(1, 4, 8, 6), torch.randn(1, 6, 4, 3)]
    plain = ExtendedFPN([4, 6], 8, finer=1, coarser=1, norm_inputs=False)
    normed = ExtendedFPN([4, 6], 8, finer=1, coarser=1)
    left = normed.load_state_dict(plain.state_dict(), strict=False)
    assert {key.split('.')[0] for key in left.missing_keys} == {'norms'}
    inputs = [norm(x) for norm, x in zip(normed.norms, maps, strict=True)]
    sizes = []
    for got, want in zip(plain(inputs), normed(maps), strict=True):
        torch.testing.assert_close(got, want)
        sizes.append(tuple(got.shape[2:]))
    assert sizes == [(16, 12), (8, 6), (4, 3), (2, 2)]
