"""xLSTM-UNet whole: the sheet's counts, any size, deep supervision, authors' files both ways."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.backbones import XLSTMEncoder
from mamba_dense.medical import XLSTMDecoder
from mamba_dense.medical.supervision import halving_weights
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_model_weights, load_weights

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'xlstm_unet'


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ('arch', 'channels', 'classes', 'millions'),
    [
        ('bot_mr_2d', 1, 14, 47.46),
        ('enc_mr_2d', 1, 14, 47.02),
        ('bot_endoscopy', 3, 8, 47.45),
        ('enc_endoscopy', 3, 8, 47.66),
        ('bot_microscopy', 3, 3, 64.72),
        ('enc_microscopy', 3, 3, 64.01),
        ('bot_mr_3d', 1, 14, 41.91),
        ('enc_mr_3d', 1, 14, 43.73),
    ],
)
def test_counts_of_the_sheet(arch, channels, classes, millions):
    with torch.device('meta'):
        encoder = XLSTMEncoder(arch, in_channels=channels)
        decoder = XLSTMDecoder(encoder.out_channels, classes, arch=arch, deep_supervision=True)
    assert count(encoder, decoder) / 1e6 == pytest.approx(millions, abs=0.00501)


def network(arch='nano', dims=2, deep=True):
    torch.manual_seed(0)
    encoder = XLSTMEncoder(arch, spatial_dims=dims, in_channels=1)
    decoder = XLSTMDecoder(
        encoder.out_channels, 3, arch=arch, spatial_dims=dims, deep_supervision=deep
    )
    return encoder, decoder


@pytest.mark.parametrize('size', [(64, 48), (33, 65), (48, 32, 16), (9, 20, 8)], ids=str)
def test_logits_of_any_size(size):
    encoder, decoder = network(dims=len(size))
    with torch.no_grad():
        maps = decoder(encoder(torch.randn(1, 1, *size)))
    for i, logits in enumerate(maps):
        assert tuple(logits.shape) == (1, 3, *(-(-side // 2**i) for side in size))
    assert len(maps) == len(halving_weights(len(maps))) == 3


def test_without_deep_supervision_there_is_the_finest_map():
    encoder, decoder = network()
    bare = network(deep=False)[1]
    state = {key: value for key, value in decoder.state_dict().items() if key in bare.state_dict()}
    bare.load_state_dict(state)
    assert {key[:15] for key in decoder.state_dict() if key not in state} == {
        'stages.0.logits',
        'stages.1.logits',
    }
    x = encoder(torch.randn(1, 1, 32, 32))
    (alone,) = bare(x)
    assert torch.equal(alone, decoder(x)[0])


@pytest.mark.parametrize('dims', [2, 3])
def test_every_parameter_of_the_decoder_learns(dims):
    encoder, decoder = network(dims=dims)
    maps = decoder(encoder(torch.randn(2, 1, *(24, 16, 16)[:dims])))
    sum(logits.square().sum() for logits in maps).backward()
    for name, p in decoder.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, name


def test_wrong_widths_are_named():
    with pytest.raises(ValueError, match=r'in_channels=\(8, 16\) must be the widths \(8, 16, 32'):
        XLSTMDecoder((8, 16), 2, arch='nano')


SMALL = {
    'bot_2d': dict(base='bot_mr_2d', dims=(4,) * 7),
    'enc_2d': dict(base='enc_mr_2d', dims=(4,) * 7, patch_size=(128, 128)),
    'bot_3d': dict(base='bot_mr_3d', dims=(4,) * 6),
    'enc_3d': dict(base='enc_mr_3d', dims=(4,) * 6, patch_size=(16, 64, 64)),
}


def authors_file(path, record, encoder, decoder, classes):
    """A file with the names of a record, all it holds twice included, and shapes of ours."""
    rows = json.loads((GOLDEN / f'{record}.json').read_text())['state_dict']
    parts = ((encoder, encoder.state_dict()), (decoder, decoder.state_dict()))
    weights, torch_seed = {}, torch.Generator().manual_seed(1)
    for name, _, _ in rows:
        keys = [(m.AUTHOR_KEYS, state) for m, state in parts if not m.AUTHOR_KEYS.drops(name)]
        assert len(keys) == 1, name
        keymap, state = keys[0]
        shape = state[keymap.name(name)].shape if keymap.name(name) in state else (classes, 4)
        weights[name] = torch.randn(shape, generator=torch_seed)
        for pair, leaf in (('conv', '0'), ('norm', '1')):
            for block in ('conv1', 'conv2'):
                if f'.{block}.{pair}.' in name:
                    double = name.replace(f'.{block}.{pair}.', f'.{block}.all_modules.{leaf}.')
                    weights[double] = weights[name]
    for name in list(weights):
        if name.startswith('encoder.'):
            weights[f'decoder.{name}'] = weights[name]
    torch.save({'network_weights': weights, 'current_epoch': 3}, path)
    return weights


@pytest.mark.parametrize('record', ['bot_2d', 'enc_2d'])
def test_authors_file_into_mmseg(record, tmp_path):
    init_default_scope('mmseg')
    arch = SMALL[record]
    model = MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(type='mamba_dense.XLSTMEncoder', arch=arch, in_channels=1),
            decode_head=dict(
                type='mamba_dense.DecoderHead',
                decoder=dict(
                    type='mamba_dense.XLSTMDecoder',
                    arch=arch,
                    in_channels=(4,) * 7,
                    num_classes=5,
                    deep_supervision=True,
                ),
                in_channels=(4,) * 7,
                num_classes=5,
                loss_decode=dict(type='mamba_dense.NnUNetLoss', batch_dice=True),
                supervision=halving_weights(6),
            ),
        )
    )
    check_loaded(record, model, model.backbone, model.decode_head.decoder, tmp_path)


@pytest.mark.parametrize('record', ['bot_3d', 'enc_3d'])
def test_authors_file_into_a_volume_segmentor(record, tmp_path):
    arch = SMALL[record]
    model = MODELS.build(
        dict(
            type='mamba_dense.VolumeSegmentor',
            backbone=dict(type='mamba_dense.XLSTMEncoder', arch=arch, in_channels=1),
            decoder=dict(
                type='mamba_dense.XLSTMDecoder',
                arch=arch,
                in_channels=(4,) * 6,
                num_classes=5,
                deep_supervision=True,
            ),
            num_classes=5,
            loss=dict(type='mamba_dense.NnUNetLoss'),
            patch_size=(16, 64, 64),
            supervision=halving_weights(5),
        )
    )
    check_loaded(record, model, model.backbone, model.decoder, tmp_path)


def check_loaded(record, model, encoder, decoder, folder):
    path = folder / 'checkpoint_final.pth'
    weights = authors_file(path, record, encoder, decoder, 5)
    report = load_model_weights(model, path, trusted=True)
    assert not report.fresh and not report.adapted
    doubles = {name for name in weights if '.all_modules.' in name or '.encoder.' in name}
    assert doubles and set(report.dropped) == doubles
    assert torch.equal(encoder.stem[0].conv1.weight, weights['encoder.stem.0.conv1.weight'])
    lstm = (
        'xlstm' if record.startswith('bot') else f'encoder.xlstm_layers.{len(encoder.stages) - 1}'
    )
    tail = encoder.stages[-1].tail
    assert torch.equal(tail.mixer.skip, weights[f'{lstm}.vil.layer.learnable_skip'])
    assert torch.equal(tail.unused.bias, weights[f'{lstm}.norm.bias'])
    last = len(encoder.stages) - 2
    assert torch.equal(decoder.stages[last].logits.bias, weights[f'decoder.seg_layers.{last}.bias'])
    del weights['decoder.upsample_layers.0.conv.bias']
    torch.save({'network_weights': weights}, path)
    with pytest.raises(ValueError, match=r'missing from the weights.*upsample'):
        load_model_weights(model, path, trusted=True)


def test_authors_file_into_the_encoder_alone(tmp_path):
    """A three-channel image, and a decoder without deep supervision: what is left out is named."""
    arch = SMALL['bot_2d']
    encoder = XLSTMEncoder(arch, in_channels=1)
    decoder = XLSTMDecoder((4,) * 7, 5, arch=arch)
    weights = authors_file(tmp_path / 'a.pth', 'bot_2d', encoder, decoder, 5)
    colour = XLSTMEncoder(arch)
    report = load_weights(colour, tmp_path / 'a.pth', keymap=colour.AUTHOR_KEYS, trusted=True)
    assert len(report.adapted) == 2
    load_weights(decoder, tmp_path / 'a.pth', keymap=decoder.AUTHOR_KEYS, trusted=True)
    name = 'decoder.stages.0.0.conv1.weight'
    assert torch.equal(decoder.stages[0].blocks[0].conv1.weight, weights[name])
