"""xLSTM-UNet's encoder: contracts in 3-D, the size that Enc is tied to, its blocks and start."""

import pytest
import torch

from mamba_dense.backbones import XLSTMEncoder
from mamba_dense.backbones.xlstm_unet import LSTMBlock
from mamba_dense.bricks import ResidualBlock
from mamba_dense.mixers import VisionLSTM
from tests import contracts


def volume(model, *size, batch=1):
    torch.manual_seed(sum(size))
    return torch.randn(batch, model.in_channels, *size)


@pytest.fixture
def nano():
    torch.manual_seed(0)
    return XLSTMEncoder('nano', spatial_dims=3, in_channels=1)


@pytest.mark.parametrize('size', [(16, 24, 32), (9, 8, 11), (8, 20, 17), (13, 9, 33)], ids=str)
def test_volumes_of_any_size(nano, size):
    found = contracts.features(nano, volume(nano, *size))
    for i, y in enumerate(found):
        assert tuple(y.shape[2:]) == tuple(-(-side // 2**i) for side in size)
        assert torch.isfinite(y).all() and y.is_contiguous()


def test_volume_contracts(nano):
    contracts.check_declared(nano, volume(nano, 16, 24, 32, batch=2))
    contracts.check_every_gradient(nano, volume(nano, 16, 24, 16))
    contracts.check_checkpointing(nano, volume(nano, 8, 16, 16))


@pytest.mark.parametrize('dims', [2, 3])
def test_enc_is_tied_to_its_patch(dims):
    patch = (64, 32) if dims == 2 else (8, 32, 16)
    model = XLSTMEncoder('enc_nano', spatial_dims=dims, patch_size=patch, in_channels=1)
    x = volume(model, *patch)
    contracts.check_declared(model, x)
    contracts.check_every_gradient(model, x)
    with pytest.raises(ValueError, match=r'tied to patch_size=.* windows'):
        model(volume(model, *(side * 2 for side in patch)))


@pytest.mark.parametrize('options', [{}, {'patch_size': (60, 64)}, {'patch_size': (64,)}], ids=str)
def test_enc_needs_a_patch_that_fits(options):
    arch = dict(base='enc_nano', patch_size=None)
    with pytest.raises(ValueError, match=r'patch_size=.* must be given .* multiples of \(8, 8\)'):
        XLSTMEncoder(arch, **options)


@pytest.mark.parametrize(
    ('arch', 'stages'),
    [
        ('bot_mr_2d', {6: 512}),
        ('enc_mr_2d', {2: 128, 4: -400, 6: -25}),
        ('enc_endoscopy', {2: 128, 4: 512, 6: -60}),
        ('enc_microscopy', {3: 256, 5: -256, 7: -16}),
        ('bot_mr_3d', {5: 320}),
        ('enc_mr_3d', {3: 256, 4: 320, 5: -210}),
    ],
)
def test_where_the_lstm_blocks_stand(arch, stages):
    """Stage -> width of a token; below 0 channels are tokens. 400 and 25 are the sheet's."""
    with torch.device('meta'):
        model = XLSTMEncoder(arch)
    found = {
        i: stage.tail.norm.weight.numel() * (-1 if stage.tail.of_channels else 1)
        for i, stage in enumerate(model.stages)
        if isinstance(stage.tail, LSTMBlock)
    }
    assert found == stages
    others = [i for i, s in enumerate(model.stages) if isinstance(s.tail, ResidualBlock)]
    assert others == {'enc_mr_3d': [0, 1, 2]}.get(arch, [1] if arch.startswith('enc') else [])


def test_sizes_that_leave_one_place_are_named(nano):
    with pytest.raises(ValueError, match=r'one place .* greater than \(8, 8, 8\)'):
        nano(volume(nano, 8, 8, 8))
    contracts.check_finite(nano, volume(nano, 8, 8, 9))


def test_strides_of_other_axes_are_named():
    with pytest.raises(ValueError, match=r'strides=\(1, 2, 2\) must be one number .* or 2 of them'):
        XLSTMEncoder('bot_mr_3d', spatial_dims=2)
    with pytest.raises(ValueError, match='one of each for every stage'):
        XLSTMEncoder(dict(base='nano', strides=(1, 2)))
    with pytest.raises(ValueError, match='spatial_dims'):
        XLSTMEncoder('nano', spatial_dims=4)


def test_the_unused_norm_is_never_trained(nano):
    untrained = {name for name, p in nano.named_parameters() if not p.requires_grad}
    assert untrained == {f'stages.3.tail.unused.{leaf}' for leaf in ('weight', 'bias')}


def test_published_start():
    torch.manual_seed(0)
    model = XLSTMEncoder(dict(base='nano', dims=(8, 16, 32, 128)))
    block = model.stages[3].tail
    mixer = block.mixer
    for part in (mixer.in_proj, mixer.q_proj, mixer.k_proj, mixer.v_proj):
        assert float(part.weight.std()) == pytest.approx((2 / (5 * 128)) ** 0.5, rel=0.05)
    assert float(mixer.out_proj.weight.std()) == pytest.approx(2 / 128**0.5, rel=0.05)
    assert not mixer.cell.input_gate.weight.any() and not mixer.cell.forget_gate.weight.any()
    assert mixer.cell.forget_gate.bias.tolist() == [3.0, 4.0, 5.0, 6.0]
    assert not block.norm.weight.any() and (mixer.skip == 1).all()
    conv = model.stages[3].blocks[0].conv2
    assert float(conv.weight.std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.05)
    assert not conv.bias.any()


@pytest.mark.parametrize('of_channels', [False, True], ids=['places', 'channels'])
def test_a_block_runs_in_single_precision(of_channels):
    """Autocast does not reach inside; half data is taken in the weights' dtype, as published."""
    torch.manual_seed(0)
    block = contracts.wake(LSTMBlock(12, of_channels=of_channels))
    x = torch.randn(2, 12, 3, 4).half()
    plain = block(x.float())
    with torch.autocast('cpu', dtype=torch.float16):
        assert torch.equal(block(x), plain)
    assert plain.dtype == torch.float32


def test_reverse_is_the_flipped_sequence():
    torch.manual_seed(0)
    mixer, back = VisionLSTM(8), VisionLSTM(8, reverse=True)
    back.load_state_dict(contracts.wake(mixer).state_dict())
    x = torch.randn(2, 5, 3, 8)  # (B, H, W, C)
    want = mixer(x.flip(1, 2)).flip(1, 2)
    torch.testing.assert_close(back(x), want)


def test_long_sequences_take_the_chunked_form():
    """One network on a map of 1,536 tokens: both forms give the same features."""
    torch.manual_seed(0)
    block = contracts.wake(LSTMBlock(8)).double()
    x = torch.randn(1, 8, 48, 32, dtype=torch.float64)
    cell = block.mixer.cell
    found = block(x)
    from mamba_dense.mixers import vision_lstm
    from mamba_kernels import mlstm

    assert cell.heads == 4

    def parallel(*tensors):
        return mlstm(*tensors, form='parallel')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision_lstm, 'mlstm', parallel)
        torch.testing.assert_close(block(x), found, rtol=1e-9, atol=1e-10)
