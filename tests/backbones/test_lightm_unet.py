"""LightM-UNet's encoder over volumes, its sizes, and the mixer's direction."""

import pytest
import torch

from mamba_dense.backbones import LightMEncoder
from mamba_dense.mixers import CausalMixer
from tests import contracts


def volume(*size, batch=1, channels=1):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(batch, channels, *size, generator=generator)


def encoder(arch='nano', **options):
    torch.manual_seed(0)
    return LightMEncoder(arch, spatial_dims=3, in_channels=1, **options)


@pytest.mark.parametrize('size', [(8, 16, 24), (5, 9, 3), (2, 2, 2), (33, 7, 4)], ids=str)
def test_any_volume(size):
    """Where a side is odd the pooling keeps its last plane."""
    model = encoder()
    contracts.check_finite(model, volume(*size))
    for i, y in enumerate(contracts.features(model, volume(*size))):
        assert tuple(y.shape[2:]) == tuple(-(-side // 2**i) for side in size)
        assert y.is_contiguous()


def test_contracts_of_volumes():
    contracts.check_declared(encoder(out_indices=(2, 0)), volume(16, 8, 24, batch=2))
    contracts.check_every_gradient(encoder(drop_path_rate=0.0), volume(8, 16, 8))
    contracts.check_checkpointing(encoder(drop_path_rate=0.3), volume(8, 8, 8, batch=2))
    contracts.check_frozen(encoder(frozen_stages=2), volume(8, 8, 8), 2, set())
    contracts.check_autocast(encoder(), volume(16, 16, 16), torch.bfloat16)


def test_volumes_compile_without_graph_break():
    model, x = encoder().eval(), volume(8, 16, 8)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='eager', fullgraph=True)
    with torch.no_grad():
        for a, b in zip(compiled(x), model(x), strict=True):
            torch.testing.assert_close(a, b)


def test_an_image_is_a_volume_of_no_depth_to_the_scans():
    """A Mamba layer sees a sequence: (1, H, W) gives what (H, W) gives."""
    layer = encoder().stages[0].blocks[0].layer1
    x = torch.randn(2, 8, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x.unsqueeze(2)).squeeze(2), layer(x))


def test_no_token_sees_what_follows():
    mixer = CausalMixer(8, state=4)
    x = torch.randn(1, 4, 5, 8)
    changed = x.clone()
    changed[0, 2, 3] += 1  # token 13 of 20
    with torch.no_grad():
        gap = (mixer(changed) - mixer(x)).abs().amax(-1).flatten()
    assert not gap[:13].any()
    assert gap[13:].all()
    with pytest.raises(ValueError, match='state=0'):
        CausalMixer(8, state=0)


def test_frozen_stages_behind_a_channels_last_image():
    """torch's group norm ends the process there; see `ChannelFirstGroupNorm`."""
    model = LightMEncoder('nano', frozen_stages=1).to(memory_format=torch.channels_last)
    x = torch.randn(1, 3, 8, 8).to(memory_format=torch.channels_last)
    sum(y.sum() for y in model(x)).backward()
    assert model.stages[1].blocks[0].norm1.weight.grad is not None


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(arch='nano', spatial_dims=1), 'spatial_dims=1 must be 2'),
        (dict(arch=dict(base='nano', dims=(8, 12, 16, 24))), 'multiple of 8'),
        (dict(arch='nano', norm_eval=True), 'norm_eval=True'),
    ],
    ids=['axes', 'widths', 'norm_eval'],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        LightMEncoder(**options)


def test_bad_volumes_are_named():
    with pytest.raises(ValueError, match=r'\(B, 1, Z, H, W\), got \(1, 1, 8, 8\)'):
        encoder()(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match='got 8x1x8'):
        encoder()(torch.zeros(1, 1, 8, 1, 8))
