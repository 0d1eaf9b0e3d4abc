"""The loader on VMamba: authors' files in every wrapping, ours, and files that do not fit."""

import functools
import http.server
import logging
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

from mamba_dense.backbones import VMamba
from mamba_dense.classification import ImageClassifier
from mamba_dense.weights import load_model_weights, load_weights

from . import authors

NANO = VMamba.ARCHS['nano']
VANILLA = replace(VMamba.ARCHS['vanilla_tiny'], dims=(16, 32, 48, 64), depths=(1, 1, 2, 1))
ARCHS = {'nano': NANO, 'vanilla': VANILLA}


class Segmentor(nn.Module):
    """Stands for an mmseg segmentor: a backbone and parts matched by name."""

    def __init__(self, classes=4):
        super().__init__()
        self.backbone = VMamba(NANO)
        self.decode_head = nn.Conv2d(256, classes, 1)


def _classifier(arch=NANO, classes=10, **options):
    backbone = dict(
        type='mamba_dense.VMamba', arch=arch, out_indices=(3,), output_norm=False, **options
    )
    head = dict(type='mamba_dense.NormPoolLinear', in_channels=arch.dims[-1], num_classes=classes)
    return ImageClassifier(backbone, head)


def _segmentor_file():
    state = {f'backbone.{key}': value for key, value in authors.backbone(NANO).items()}
    head = {'decode_head.weight': torch.randn(4, 256, 1, 1), 'decode_head.bias': torch.randn(4)}
    return {**state, **head}


def _save(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize('name', ARCHS)
@pytest.mark.parametrize('renamed', [False, True], ids=['later', 'january'])
def test_a_classification_file_fills_a_backbone(tmp_path, name, renamed):
    arch = ARCHS[name]
    source = authors.classifier(arch)
    content = authors.january(source) if renamed else source
    path = _save({'model': content}, tmp_path / 'w.pth')
    backbone = VMamba(arch)
    before = backbone.out_norms['0'].weight.clone()
    report = load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    assert torch.equal(backbone.stem.conv.weight, source['patch_embed.0.weight'])
    mixer = backbone.stages[2].blocks[1].mixer
    a_logs = source['layers.2.blocks.1.op.A_logs']
    assert torch.equal(mixer.A_log.flatten(), a_logs.flatten())
    assert torch.equal(backbone.out_norms['0'].weight, before)
    assert len(report.dropped) == 4
    assert set(report.fresh) == {key for key in backbone.state_dict() if 'out_norms' in key}
    assert len(report.loaded) == len(source) - 4


def test_init_cfg_takes_the_authors_file(tmp_path):
    source = authors.classifier(NANO)
    path = _save({'model': source}, tmp_path / 'w.pth')
    backbone = VMamba('nano', init_cfg=dict(type='Pretrained', checkpoint=path.as_uri()))
    backbone.init_weights()
    assert torch.equal(backbone.stem.conv.weight, source['patch_embed.0.weight'])


def test_init_cfg_downloads(tmp_path, monkeypatch):
    monkeypatch.setenv('MAMBA_DENSE_CACHE', str(tmp_path / 'cache'))
    folder = tmp_path / 'served'
    folder.mkdir()
    source = authors.backbone(NANO)
    _save({'state_dict': source}, folder / 'w.pth')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *parts):
            pass

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f'http://127.0.0.1:{server.server_port}/w.pth'
        try:
            backbone = VMamba('nano', init_cfg=dict(type='Pretrained', checkpoint=url))
            backbone.init_weights()
        finally:
            server.shutdown()
            thread.join()
    assert torch.equal(backbone.out_norms['3'].bias, source['outnorm3.bias'])
    again = VMamba('nano')  # the server is gone: the cache serves
    load_weights(again, url, keymap=again.AUTHOR_KEYS)
    assert torch.equal(again.stem.conv.weight, backbone.stem.conv.weight)


@pytest.mark.parametrize('prefix', ['', 'backbone', 'backbone.'])
def test_a_segmentors_file_fills_a_backbone(tmp_path, caplog, prefix):
    source = _segmentor_file()
    path = _save({'state_dict': source, 'meta': {}}, tmp_path / 'w.pth')
    backbone = VMamba('nano')
    with caplog.at_level(logging.INFO):
        report = load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS, prefix=prefix)
    assert 'decode_head (2 tensors)' in caplog.text
    assert set(report.dropped) == {'decode_head.weight', 'decode_head.bias'}
    assert not report.fresh
    assert torch.equal(backbone.out_norms['1'].weight, source['backbone.outnorm1.weight'])


def test_a_prefix_that_is_not_there(tmp_path):
    path = _save(_segmentor_file(), tmp_path / 'w.pth')
    backbone = VMamba('nano')
    with pytest.raises(ValueError, match=r"prefix='encoder\.'; its parts are: backbone .*decode_"):
        load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS, prefix='encoder')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_our_own_layout_is_recognised(tmp_path, suffix):
    one, two = VMamba('nano'), VMamba('nano')
    path = tmp_path / f'w{suffix}'
    if suffix == '.pth':
        torch.save({'state_dict': one.state_dict()}, path)
    else:
        safetensors.torch.save_file(one.state_dict(), path)
    load_weights(two, path, keymap=two.AUTHOR_KEYS)
    ours = two.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in one.state_dict().items())


def test_fewer_outputs_than_the_file_has(tmp_path):
    path = _save(authors.backbone(NANO), tmp_path / 'w.pth')
    backbone = VMamba('nano', out_indices=(1, 2))
    report = load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    assert 'outnorm0.weight' in report.dropped
    assert not report.fresh


@pytest.mark.parametrize('channels', [1, 4])
def test_other_input_channels_are_adapted_with_a_notice(tmp_path, caplog, channels):
    source = authors.classifier(NANO)
    path = _save(source, tmp_path / 'w.pth')
    backbone = VMamba('nano', in_channels=channels)
    with caplog.at_level(logging.WARNING):
        report = load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    assert f'stem.conv.weight: 3 -> {channels} input channels' in caplog.text
    assert len(report.adapted) == 1
    if channels == 1:
        expected = source['patch_embed.0.weight'].sum(dim=1, keepdim=True)
        torch.testing.assert_close(backbone.stem.conv.weight.data, expected)


def test_one_by_one_kernels_are_viewed(tmp_path):
    source = authors.classifier(NANO)
    leaves = ('in_proj.weight', 'out_proj.weight', 'fc1.weight', 'fc2.weight')
    kernels = {k: v[..., None, None] if k.endswith(leaves) else v for k, v in source.items()}
    path = _save(kernels, tmp_path / 'w.pth')
    backbone = VMamba('nano')
    load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    fc1 = backbone.stages[0].blocks[0].mlp.fc1.weight
    assert torch.equal(fc1, source['layers.0.blocks.0.mlp.fc1.weight'])


@pytest.mark.parametrize('name', ARCHS)
@pytest.mark.parametrize('renamed', [False, True], ids=['later', 'january'])
def test_a_whole_classifier(tmp_path, name, renamed):
    arch = ARCHS[name]
    source = authors.classifier(arch)
    content = authors.january(source) if renamed else source
    path = _save({'model': content}, tmp_path / 'w.pth')
    model = _classifier(arch)
    report = load_model_weights(model, path)
    assert not report.dropped and not report.fresh
    assert torch.equal(model.head.fc.weight, source['classifier.head.weight'])
    other = _classifier(arch)
    load_model_weights(other, _save(model.state_dict(), tmp_path / 'ours.pth'))
    assert torch.equal(other.backbone.stem.conv.weight, source['patch_embed.0.weight'])


def test_a_whole_segmentor(tmp_path):
    source = _segmentor_file()
    model = Segmentor()
    report = load_model_weights(model, _save({'state_dict': source}, tmp_path / 'w.pth'))
    assert not report.dropped and not report.fresh
    assert torch.equal(model.decode_head.weight, source['decode_head.weight'])
    assert torch.equal(model.backbone.stem.conv.weight, source['backbone.patch_embed.0.weight'])
    other = Segmentor()
    load_model_weights(other, _save({'state_dict': model.state_dict()}, tmp_path / 'ours.pth'))
    ours = other.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in model.state_dict().items())


def test_a_bare_backbone_as_a_whole_model(tmp_path):
    source = authors.backbone(NANO)
    backbone = VMamba('nano')
    load_model_weights(backbone, _save(source, tmp_path / 'w.pth'))
    assert torch.equal(backbone.stem.conv.weight, source['patch_embed.0.weight'])


def _unchanged(model, before):
    return all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def _copy(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda s: s.pop('patch_embed.0.bias'), r'1 missing from the weights: stem\.conv\.bias'),
        (lambda s: s.update(extra=torch.ones(1)), r'unknown to the network: extra'),
        (
            lambda s: s.update({'patch_embed.0.bias': torch.ones(3)}),
            r'of another shape: stem\.conv\.bias \[3\], wanted \[16\]. The sizes differ',
        ),
    ],
    ids=['missing', 'surplus', 'shape'],
)
def test_what_does_not_fit_is_named_and_nothing_loaded(tmp_path, change, words):
    source = authors.classifier(NANO)
    change(source)
    path = _save({'model': source}, tmp_path / 'w.pth')
    backbone = VMamba('nano')
    before = _copy(backbone)
    with pytest.raises(ValueError, match=words) as caught:
        load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    assert f'{path} does not fit VMamba' in str(caught.value)
    assert _unchanged(backbone, before)


def test_the_file_of_another_network(tmp_path):
    source = {f'layer{i}.conv.weight': torch.zeros(1) for i in range(50)}
    path = _save({'state_dict': source}, tmp_path / 'w.pth')
    backbone = VMamba('nano')
    with pytest.raises(
        ValueError, match='It is the file of another network; its parts are: layer0'
    ):
        load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)


def test_the_file_of_another_variant(tmp_path):
    path = _save({'model': authors.classifier(VANILLA)}, tmp_path / 'w.pth')
    backbone = VMamba('nano')
    before = _copy(backbone)
    with pytest.raises(ValueError, match='does not fit VMamba: .* missing from the weights'):
        load_weights(backbone, path, keymap=backbone.AUTHOR_KEYS)
    assert _unchanged(backbone, before)


def test_a_backbones_file_for_a_whole_segmentor_says_the_way_out(tmp_path):
    path = _save({'model': authors.classifier(NANO)}, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match=r'nothing for backbone\.\* of Segmentor.*init_cfg'):
        load_model_weights(Segmentor(), path)


def test_another_number_of_classes(tmp_path):
    path = _save(_segmentor_file(), tmp_path / 'w.pth')
    model = Segmentor(classes=7)
    before = _copy(model)
    with pytest.raises(ValueError, match=r'decode_head\.weight \[4, 256, 1, 1\], wanted \[7'):
        load_model_weights(model, path)
    assert _unchanged(model, before)


def test_weights_need_torch_alone():
    code = (
        'import sys; import mamba_dense.weights.zoo, mamba_dense.weights.save; '
        "sys.exit(any(name in sys.modules for name in ('mmengine', 'mmcv', 'mmseg', 'yaml')))"
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
