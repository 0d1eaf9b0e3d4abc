"""The parts of plain backbones: norms, rotary positions, causal convolution, pyramids."""

import pytest
import torch
from torch import nn

from mamba_dense.bricks import (
    CausalConv1d,
    ChannelFirstLayerNorm,
    FeaturePyramid,
    RMSNorm,
    SimpleFeaturePyramid,
    rotary_tables,
    rotate,
)
from mamba_dense.registry import MODELS


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16], ids=str)
def test_rms_norm(dtype):
    norm = RMSNorm(6).to(dtype)
    x = 300 * torch.randn(2, 3, 6)  # squares that half precision cannot hold
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        got = norm(x.to(dtype))
    y = x.to(dtype).double()
    want = y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight.double()
    assert got.dtype == dtype
    torch.testing.assert_close(got, want.to(dtype))


def test_channel_first_layer_norm():
    x = torch.randn(2, 6, 3, 5)
    norm = ChannelFirstLayerNorm(6, eps=1e-6)
    want = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (6,), eps=1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(norm(x), want)


@pytest.mark.parametrize('length', [1, 2, 4, 9])
@pytest.mark.parametrize('reverse', [False, True])
def test_causal_convolution(length, reverse):
    conv = CausalConv1d(3, 4, reverse=reverse)
    x = torch.randn(2, length, 3)
    walked = x.flip(1) if reverse else x
    padded = nn.functional.pad(walked.transpose(1, 2), (3, 0))
    want = nn.functional.conv1d(padded, conv.weight, conv.bias, groups=3).transpose(1, 2)
    torch.testing.assert_close(conv(x), want.flip(1) if reverse else want)


def test_rotary_positions_turn_pairs_by_row_and_column():
    cos, sin = rotary_tables((2, 7), 8, pretrained_side=14)
    assert cos.shape == (14, 4) and cos.dtype == torch.float64
    # token (1, 3): rows are stretched by 14 / 2, columns by 14 / 7; two frequencies, 1 and 0.01
    angles = torch.tensor([7.0, 0.07, 6.0, 0.06], dtype=torch.float64)
    torch.testing.assert_close(cos[10], angles.cos())
    torch.testing.assert_close(sin[10], angles.sin())
    x = torch.randn(1, 14, 8, dtype=torch.float64)
    y = rotate(x, cos, sin)
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    turned = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (4, 2))) * (cos + 1j * sin))
    torch.testing.assert_close(y, turned.flatten(-2))


def test_rotary_tables_are_shared_and_real_under_inference_mode():
    with torch.inference_mode():
        first = rotary_tables((3, 5), 12, dtype=torch.float32)
    second = rotary_tables((3, 5), 12, dtype=torch.float32)
    assert first[0] is second[0] and not first[0].is_inference()
    with pytest.raises(ValueError, match='multiple of 4'):
        rotary_tables((3, 5), 6)


@pytest.mark.parametrize('grid', [(4, 6), (5, 3), (1, 1)], ids=str)
def test_feature_pyramid(grid):
    H, W = grid
    pyramid = FeaturePyramid(8, (4, 2, 1, 0.5)).eval()
    shapes = [tuple(y.shape) for y in pyramid([torch.randn(1, 8, H, W)] * 4)]
    small = (max(H // 2, 1), max(W // 2, 1))
    assert shapes == [(1, 8, *g) for g in ((4 * H, 4 * W), (2 * H, 2 * W), grid, small)]


def test_simple_feature_pyramid_is_a_neck():
    neck = MODELS.build(
        dict(type='mamba_dense.SimpleFeaturePyramid', in_channels=[8, 16], out_channels=12)
    )
    assert isinstance(neck, SimpleFeaturePyramid)
    levels = neck((torch.randn(1, 8, 9, 9), torch.randn(2, 16, 4, 6)))
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert [tuple(y.shape) for y in levels] == [(2, 12, *size) for size in sizes]
    sum(y.square().sum() for y in levels).backward()
    assert all(torch.isfinite(p.grad).all() for p in neck.parameters())


@pytest.mark.parametrize(
    ('options', 'words'),
    [(dict(scales=(3,)), 'scale=3'), (dict(num_outs=2), 'num_outs=2')],
)
def test_bad_options_of_the_neck_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        SimpleFeaturePyramid(8, **options)
