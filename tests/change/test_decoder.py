"""Two dates as one picture, and the decoders over them."""

import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mamba_dense.change.decoder import (
    RELATIONS,
    ChangeDecoder,
    Relation,
    SemanticDecoder,
    arrange,
    separate,
)
from mamba_dense.routes import routes

H, W, C = 3, 5, 4


@pytest.fixture
def dates():
    return torch.randn(2, 2, H, W, C)


def test_pictures_are_the_published_ones(dates):
    pre, post = dates.unbind(1)
    assert torch.equal(arrange(dates, 'parallel'), torch.cat((pre, post), dim=-1))
    picture = arrange(dates, 'interleaved')
    assert torch.equal(picture[:, :, 0::2], pre) and torch.equal(picture[:, :, 1::2], post)
    picture = arrange(dates, 'sequential')
    assert torch.equal(picture[:, :, :W], pre) and torch.equal(picture[:, :, W:], post)


@pytest.mark.parametrize('relation', ['interleaved', 'sequential'])
def test_the_cross_scan_of_a_picture_is_the_route_over_dates(dates, relation):
    """Token orders of the joint picture and of the routes over (T, H, W) are the same."""
    picture = arrange(dates, relation)
    cross = routes('cross', tuple(picture.shape[1:3])).order.long()
    over_dates = routes(f'dates-{relation}', (2, H, W)).order.long()
    seen = picture.flatten(1, 2)[:, cross]  # (B, K, S, C)
    assert torch.equal(seen, dates.flatten(1, 3)[:, over_dates])


@pytest.mark.parametrize('relation', ['interleaved', 'sequential'])
def test_separate_undoes_arrange(dates, relation):
    found = separate(arrange(dates, relation), relation, 2)
    assert torch.equal(torch.stack(found, dim=1), dates)


def test_a_parallel_picture_is_one_map(dates):
    picture = arrange(dates, 'parallel')
    assert separate(picture, 'parallel', 2) == (picture,)


@pytest.mark.parametrize('relation', RELATIONS)
def test_every_relation_sees_both_dates(dates, relation):
    """A change at one pixel of one date reaches what is said of the other."""
    layer = Relation(relation, C, 16, dates=2, block=None, drop_path=0.0).eval()
    changed = dates.clone()
    changed[:, 1, 0, 0] += 1.0
    with torch.no_grad():
        before, after = (layer(x)[0] for x in (dates, changed))
    assert (before - after).abs().amax(dim=-1).gt(0).all()


def features(widths, size=(12, 20)):
    return [
        torch.randn(1, width, -(-size[0] // 2**i), -(-size[1] // 2**i))
        for i, width in enumerate(widths)
    ]


@pytest.mark.parametrize('widths', [(4, 8, 12, 16), (8, 16), (8,)], ids=len)
def test_any_number_of_levels(widths):
    decoder, semantic = ChangeDecoder(widths, 16), SemanticDecoder(widths, 16)
    pre, post = features(widths), features(widths)
    out = decoder(pre, post)
    assert out.shape == semantic(pre).shape == (1, 16, 12, 20)
    (out.square().mean() + semantic(post).square().mean()).backward()
    for module in (decoder, semantic):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_blocks_of_mini_are_gated_without_mlp():
    decoder = ChangeDecoder((8,), 16, block=dict(gated=True, mlp_ratio=0.0))
    block = decoder.levels[0].relations['parallel'].block
    assert block.mixer.gated and block.mlp is None
    with pytest.raises(ValueError, match="unknown fields \\['gate'\\]"):
        ChangeDecoder((8,), 16, block=dict(gate=True))


def test_dates_in_half_precision():
    decoder = ChangeDecoder((8, 16), 16).to(torch.bfloat16).eval()
    maps = [x.to(torch.bfloat16) for x in features((8, 16))]
    assert decoder(maps, maps).dtype == torch.bfloat16
